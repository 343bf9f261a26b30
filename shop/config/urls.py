"""Routes: our home page, personas, the first-party path for cashwrap and the demo's drawer; the rest is Oscar's."""

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.views import serve as serve_static
from django.urls import include, path, re_path
from django.views.static import serve as serve_file
from storefront import proxy, views, why

urlpatterns = [
    path("", views.HomeView.as_view(), name="home"),
    path("p/<str:upc>/", views.product, name="product"),
    path("offer/", views.take_offer, name="offer-take"),
    path("accounts/logout/", views.leave, name="leave"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("persona/<slug:name>/", views.persona, name="persona"),
    re_path(r"^cw/(?P<path>v1/[\w/.-]+|sdk/[\w/.-]+)$", proxy.forward, name="cashwrap-proxy"),
    re_path(r"^static/(?P<path>.*)$", serve_static, {"insecure": True}),
    re_path(r"^media/(?P<path>.*)$", serve_file, {"document_root": settings.MEDIA_ROOT}),
    path("favicon.ico", views.favicon),
]
if settings.DEMO_WHY:
    urlpatterns += [
        path("why/", why.drawer, name="why"),
        path("why/state/", why.state, name="why-state"),
        path("why/consent/", why.consent, name="why-consent"),
    ]
urlpatterns += [path("", include(apps.get_app_config("oscar").urls[0]))]
