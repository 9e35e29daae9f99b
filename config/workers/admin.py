"""Removes the admin pages of the queue, which django-q2 has registered before this module."""

from django.apps import apps
from django.contrib import admin

# The pages unpickle table contents, and let every user who may add a schedule run any function.
for model in apps.get_app_config("django_q").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)
