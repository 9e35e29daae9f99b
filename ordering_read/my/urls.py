"""The URLs of the pages of customers. Those below ``login/`` are for strangers."""

from django.contrib.auth.views import LogoutView
from django.urls import path, reverse_lazy
from django.views.generic import RedirectView

from ordering_read.my.cancelling import CancelPage
from ordering_read.my.login import (
    AskLinkPage,
    AskOrderLinkPage,
    LinkSentPage,
    LogInPage,
    OpenLinkPage,
)
from ordering_read.my.orders import OrderDetailPage, OrdersPage
from ordering_read.my.password import PasswordPage
from ordering_read.my.reordering import ReorderPage
from ordering_read.my.returning import ReturnPage

app_name = "my"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="my:orders"), name="home"),
    path("login/", LogInPage.as_view(), name="login"),
    path("login/link/", AskLinkPage.as_view(), name="ask-link"),
    path("login/order/", AskOrderLinkPage.as_view(), name="ask-order-link"),
    path("login/sent/", LinkSentPage.as_view(), name="link-sent"),
    path("login/open/", OpenLinkPage.as_view(), name="open-link"),
    path("logout/", LogoutView.as_view(next_page=reverse_lazy("my:login")), name="logout"),
    path("password/", PasswordPage.as_view(), name="password"),
    path("orders/", OrdersPage.as_view(), name="orders"),
    # Imported orders have any number, such as 2024/17.
    path("orders/<path:number>/cancel/", CancelPage.as_view(), name="cancel"),
    path("orders/<path:number>/return/", ReturnPage.as_view(), name="return"),
    path("orders/<path:number>/again/", ReorderPage.as_view(), name="reorder"),
    path("orders/<path:number>/", OrderDetailPage.as_view(), name="order"),
]
