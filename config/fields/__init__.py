"""Types of fields that both apps share: text, amounts, members of errors. No Django."""
