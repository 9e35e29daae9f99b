"""The URLs of the peer's API."""

from django.urls import include, path
from rest_framework.routers import DefaultRouter

from tests.benchmarks.peers.shop import views

router = DefaultRouter()
router.register("orders", views.OrderViewSet)
router.register("flat", views.FlatOrderViewSet, basename="flat")
router.register("queued", views.QueuedOrderViewSet, basename="queued")
urlpatterns = [path("api/", include(router.urls))]
