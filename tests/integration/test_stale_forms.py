"""Forms of commands that meet a change, an ended session or the back button: nothing is lost."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.test import Client

from config.accounts.models import User
from ordering_read import permissions
from ordering_read.admin import kept_forms
from ordering_read.models import OrderSummary
from ordering_write.domain import commands as c
from ordering_write.domain.errors import ConcurrentUpdateError
from ordering_write.domain.events import OrderStatus
from ordering_write.models import OutboxEvent
from tests import kit
from tests.integration.test_admin_commands import hidden_fields, order_command_url, send
from tests.kit_admin import ORDERS, Shop, logged_in, messages_of, projected_shop, row_url

PASSWORD = "correct horse battery"
CHANGED = "Changed since you opened it"


pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(scope="module")
def shop(module_db: None) -> Shop:
    return projected_shop()


@pytest.fixture(autouse=True)
def _visible_at_once(settings: Any) -> None:
    settings.READ_SIDE_WAIT = "tests.integration.test_admin_commands.visible_at_once"


def note(shop: Shop, text: str) -> None:
    """Let another clerk add a note, which the rows don't show yet."""
    kit.dispatch(c.AddNote(order_id=shop.order.pk, text=text, user_id=kit.USER))


def notes() -> int:
    return OutboxEvent.objects.filter(type="NoteAdded").count()


# --- Two clerks --------------------------------------------------------------------------------
def test_the_second_clerk_sees_the_changes_and_goes_on_with_one_click(
    shop: Shop, clerk: User
) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "tag_order")
    preview = send(client, url, {**hidden_fields(client.get(url)), "tag": "gift"})
    note(shop, "Ring twice")

    refused = client.post(url, {**hidden_fields(preview), "confirm": "1"}, follow=True)

    assert CHANGED not in preview.text
    assert CHANGED in refused.text
    [change] = refused.context["changes_since"]
    assert change.sentence == f"user {kit.USER} noted: Ring twice"
    assert change.at is not None
    assert OrderSummary.live.get().tags == []
    done = client.post(url, {**hidden_fields(refused), "confirm": "1"})
    assert done.headers["Location"] == row_url(ORDERS, shop.order.pk)
    assert OrderSummary.live.get().tags == ["gift"]


def test_a_form_opened_from_an_older_page_says_what_changed(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    page = client.get(row_url(ORDERS, shop.order.pk)).text
    [url] = set(re.findall(r'href="([^"]*/confirm_order/[^"]*)"', page))
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))

    form = client.get(url)

    assert CHANGED in form.text
    assert "confirmed the order" in form.text
    assert 'name="confirm"' not in form.text


def test_what_was_typed_is_kept_when_the_new_state_refuses_it(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "cancel_order_items")
    form = client.get(url)
    [field] = re.findall(r'name="(items-[^"]+-quantity)"', form.text)
    kit.dispatch(kit.cancel(shop.order))

    page = send(client, url, {**hidden_fields(form), field: "1", "reason": "Ordered twice"})

    assert "cancelled the order" in page.text
    assert 'name="confirm"' not in page.text
    assert "Ordered twice" in page.text
    assert re.search(rf'name="{field}" value="1"', page.text)


def test_the_changes_are_without_personal_texts_for_those_who_may_not_see_them(
    shop: Shop, clerk: User
) -> None:
    codename = permissions.VIEW_PII.partition(".")[2]
    clerk.groups.clear()
    others = Permission.objects.exclude(codename=codename)
    clerk.user_permissions.set(others)
    client = logged_in(clerk)
    url = order_command_url(shop, "tag_order")
    form = client.get(url)
    note(shop, "Ring twice")

    page = send(client, url, {**hidden_fields(form), "tag": "gift"}).text

    assert "noted: ***" in page
    assert "Ring twice" not in page


def test_a_version_that_is_no_number_counts_as_the_newest(shop: Shop, clerk: User) -> None:
    for version in ("x", "-1", "99999999999999999999", "²"):
        page = logged_in(clerk).get(f"{order_command_url(shop, 'tag_order')}?version={version}")
        assert CHANGED not in page.text


# --- The back button ---------------------------------------------------------------------------
def test_every_post_is_followed_by_a_page_to_which_the_back_button_leads(
    shop: Shop, clerk: User
) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "add_note")
    fields = {"text": "Ring twice", "visibility": "internal"}
    preview = send(client, url, {**hidden_fields(client.get(url)), **fields})
    preview_url = preview.redirect_chain[-1][0]
    assert 'name="confirm"' in client.get(preview_url).text
    edited = client.post(url, {**hidden_fields(preview), "change": "1"}, follow=True)
    assert "Ring twice</textarea>" in edited.text
    assert client.post(url, {**hidden_fields(preview), "confirm": "1"}).status_code == 302

    back = client.get(preview_url)

    assert back.status_code == 200
    assert "This form was sent already" in back.text
    assert 'name="confirm"' not in back.text
    assert notes() == 1


def test_a_refusal_after_the_preview_is_shown_on_a_page_of_its_own(
    shop: Shop, clerk: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "confirm_order")
    preview = client.get(url)

    def refuse(*_args: Any, **_fields: Any) -> None:
        raise ConcurrentUpdateError

    with monkeypatch.context() as patch:
        patch.setattr("ordering_write.client.dispatch", refuse)
        refused = client.post(url, {**hidden_fields(preview), "confirm": "1"}, follow=True)

    assert "Not done: Too many changes at once; try again." in refused.text
    assert client.post(url, {**hidden_fields(refused), "confirm": "1"}).status_code == 302
    assert OrderSummary.live.get().status == "confirmed"


# --- Ended sessions ----------------------------------------------------------------------------
@pytest.fixture
def form(shop: Shop, clerk: User, settings: Any) -> tuple[Client, str, dict[str, str]]:
    """Return a browser whose session has ended, the URL of a form and its filled-in fields."""
    # The usual hash takes a third of a second for each login.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    clerk.set_password(PASSWORD)
    clerk.save()
    client = Client(enforce_csrf_checks=True)
    client.force_login(clerk)
    url = order_command_url(shop, "add_note")
    fields = hidden_fields(client.get(url))
    Session.objects.all().delete()
    return client, url, {**fields, "text": "Ring twice", "visibility": "internal"}


def log_in(client: Client, url: str, username: str) -> Any:
    """Log in on the login page ``url``, and return the page that follows."""
    token = hidden_fields(client.get(url))["csrfmiddlewaretoken"]
    fields = {"username": username, "password": PASSWORD, "csrfmiddlewaretoken": token}
    return client.post(url, fields, follow=True)


def test_after_the_login_a_form_is_as_it_was(form: Any, clerk: User) -> None:
    client, url, fields = form

    login = client.post(url, {**fields, "preview": "1"})
    page = log_in(client, login.headers["Location"], "clerk")

    assert login.headers["Location"].startswith("/admin/login/?next=")
    assert 'name="confirm"' in page.text
    assert "Ring twice" in page.text
    assert client.post(url, {**hidden_fields(page), "confirm": "1"}).status_code == 302
    assert notes() == 1


def test_a_form_from_before_another_login_is_as_it_was(form: Any, clerk: User) -> None:
    client, url, fields = form
    log_in(client, "/admin/login/", "clerk")

    answer = client.post(url, {**fields, "confirm": "1"})
    page = client.get(answer.headers["Location"])

    assert notes() == 0
    assert "You have logged in again since you opened this form." in page.text
    assert "Ring twice" in page.text
    assert client.post(url, {**hidden_fields(page), "confirm": "1"}).status_code == 302
    assert notes() == 1


def test_a_post_of_another_person_needs_a_token_of_the_session(form: Any, warehouse: User) -> None:
    client, url, fields = form
    client.force_login(warehouse)

    old = {**fields, "csrfmiddlewaretoken": "x"}
    assert client.post(url, {**old, "confirm": "1"}).status_code == 403
    assert "kept_forms" not in client.session


def test_a_confirmation_without_a_session_is_asked_for_again(form: Any) -> None:
    client, url, fields = form

    login = client.post(url, {**fields, "confirm": "1"})
    page = log_in(client, login.headers["Location"], "clerk")

    assert notes() == 0
    assert 'name="confirm"' in page.text


def test_what_one_person_typed_is_not_shown_to_another(form: Any, warehouse: User) -> None:
    client, url, fields = form
    warehouse.set_password(PASSWORD)
    warehouse.save()

    login = client.post(url, {**fields, "preview": "1"})
    page = log_in(client, login.headers["Location"], "warehouse")

    assert page.status_code == 200
    assert "Ring twice" not in page.text


def test_nothing_is_kept_for_strangers_and_nothing_for_long(
    form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, url, fields = form
    forged = {**fields, "typed_by": fields["typed_by"][:-1] + "!"}

    login = client.post(url, {**forged, "preview": "1"})
    without_token = client.post(url, {**forged, "csrfmiddlewaretoken": "x"})

    assert login.headers["Location"] == f"/admin/login/?next={url}"
    assert without_token.status_code == 403
    assert not Session.objects.exists()
    monkeypatch.setattr(kept_forms, "_SECONDS", -1)
    login = client.post(url, {**fields, "preview": "1"})
    page = log_in(client, login.headers["Location"], "clerk")
    assert "what was typed is no longer kept" in page.text
    assert "Ring twice" not in page.text


def test_a_session_keeps_the_newest_forms_without_tokens(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "tag_order")
    for number in range(7):
        send(client, url, {**hidden_fields(client.get(url)), "tag": f"t{number}"})

    kept = list(client.session["kept_forms"].values())

    assert [form["fields"]["tag"] for form in kept] == [[f"t{n}"] for n in range(2, 7)]
    assert not any("csrf" in name or "typed" in name for form in kept for name in form["fields"])


# --- The keyboard ------------------------------------------------------------------------------
def test_the_focus_goes_to_the_first_field_or_the_first_error(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "adjust_order")
    form = client.get(url)
    fields = {"kind": "discount", "label": "Scratched", "amount": "x", "reason": "Agreed"}

    refused = send(client, url, {**hidden_fields(form), **fields})
    preview = send(client, url, {**hidden_fields(form), **fields, "amount": "1"})

    def focused(page: Any) -> list[str]:
        return re.findall(r'<\w+[^>]* name="(\w+)"[^>]*autofocus', page.text)

    assert focused(form) == ["kind"]
    assert focused(refused) == ["amount"]
    assert focused(preview) == ["confirm"]
    assert messages_of(refused) == []
