"""The basket, with what cashwrap holds for it: offers taken from a decision, and codes that open one."""

from django.contrib import messages
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from oscar.apps.basket import views
from oscar.core.utils import redirect_to_referrer
from storefront import offers


class BasketView(views.BasketView):
    def get(self, request, *args, **kwargs):
        offers.refresh(request)  # before anything is read from the basket: its lines know their discounts
        return super().get(request, *args, **kwargs)


class VoucherAddView(views.VoucherAddView):
    """One box for the shop's own codes and for those of cashwrap; the shop's own come first."""

    def form_valid(self, form):
        code, basket = form.cleaned_data["code"], self.request.basket
        own = self.voucher_model.objects.filter(code=code, held=None).exists()
        if own or not basket.id:
            return super().form_valid(form)
        if offers.take_code(self.request, code):
            messages.info(self.request, _("Your code is applied."))
        return redirect_to_referrer(self.request, "basket:summary")


class VoucherRemoveView(views.VoucherRemoveView):
    def post(self, request, *args, **kwargs):
        voucher = request.basket.vouchers.filter(pk=kwargs["pk"]).first() if request.basket.id else None
        held = getattr(voucher, "held", None)
        if held is None:
            return super().post(request, *args, **kwargs)
        offers.let_go(held)
        messages.info(request, _("The offer is no longer applied."))
        return redirect("basket:summary")
