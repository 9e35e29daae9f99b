"""The workers: the django-q2 broker, cluster and tasks that run both apps."""
