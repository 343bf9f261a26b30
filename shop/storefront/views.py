"""The shop's own pages: home, and the demo's one-click logins."""

from django.contrib import messages
from django.contrib.auth import authenticate, login, logout
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from django.views.generic import TemplateView
from oscar.core.loading import get_model

from . import catalogue, offers, personalization
from .context import PERSONAS

FEATURED = ["KC-C01", "KC-O02", "KC-D01", "KC-K05", "KC-H01", "KC-O03", "KC-D02", "KC-C08"]
PASSWORD = "demo-only-kestrel"  # noqa: S105 - printed in the README; the shop listens on loopback only


class HomeView(TemplateView):
    template_name = "storefront/home.html"

    def get_context_data(self, **kwargs):
        products = get_model("catalogue", "Product").objects.filter(upc__in=FEATURED)
        by_upc = {product.upc: product for product in products}
        tiles = [
            {**category, "picture": catalogue.picture(cover)}
            for category, cover in zip(
                catalogue.seed()["categories"], ["KC-C02", "KC-O01", "KC-D06", "KC-K07", "KC-H08"], strict=True
            )
        ]
        featured = [by_upc[upc] for upc in FEATURED if upc in by_upc]
        return super().get_context_data(featured=featured, tiles=tiles, **kwargs)


@require_POST
def persona(request, name):
    """Log in as one of the demo's two customers, or out."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}) or target.startswith("/why"):
        target = "/"
    if name == "nobody":
        return leave(request, target)
    if name not in {each["slug"] for each in PERSONAS}:
        raise Http404
    user = authenticate(request, username=f"{name}@kestrel.example", password=PASSWORD)
    if user is not None:
        login(request, user)
    return redirect(target)


@require_POST
def take_offer(request):
    """Take the offer that a decision granted: its token came with the page, by the SDK or by our own template."""
    if offers.take(request, request.POST.get("token", "")):
        messages.success(request, _("The offer is applied to your basket."))
    target = request.POST.get("next", "")
    return redirect(target if url_has_allowed_host_and_scheme(target, {request.get_host()}) else "/basket/")


def product(request, upc):  # noqa: ARG001 - Django's view signature
    """Send `/p/KC-C01/`, the address in the product feed, on to the product's page."""
    return redirect(get_object_or_404(get_model("catalogue", "Product"), upc=upc))


def leave(request, target="/"):
    """Log out, and let the device start over: who comes next is not who just left."""
    logout(request)
    response = redirect(target)
    response.delete_cookie(personalization.ANONYMOUS_COOKIE)
    return response


def favicon(request):  # noqa: ARG001 - Django's view signature
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        '<rect width="32" height="32" rx="9" fill="#2f4a3c"/>'
        '<path d="M6 20c6-1 8-10 20-11-3 4-5 5-8 6 2 3 1 7-4 9 0-3-2-4-8-4z" fill="#f3e9d8"/></svg>'
    )
    return HttpResponse(svg, content_type="image/svg+xml")
