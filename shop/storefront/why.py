from django.http import HttpResponse


def drawer(request):
    return HttpResponse("")


state = consent = drawer
