"""Instagram's sandbox where the documents leave a choice: pages, registrations, refusals, what goes together."""

from urllib.parse import urlencode

import httpx
import pytest

PAGE_SCOPES = "instagram_basic,instagram_content_publish,pages_show_list,pages_read_engagement"
OWN_SCOPES = "instagram_business_basic,instagram_business_content_publish"
RETURN_TO = "http://127.0.0.1:9/callback"


@pytest.fixture
def host(sandbox):
    return lambda name: sandbox.hosts[f"INSTAGRAM_{name}_URL"]


def asks(client_id, scope):
    return {"client_id": client_id, "response_type": "code", "scope": scope, "redirect_uri": RETURN_TO, "state": "st"}


def page_token(control, http, host, client_id, secret):
    code = control.returned(host("FACEBOOK_WWW") + "/v26.0/dialog/oauth", asks(client_id, PAGE_SCOPES))["code"]
    query = {"client_id": client_id, "client_secret": secret, "redirect_uri": RETURN_TO, "code": code}
    return http.get(host("FACEBOOK_GRAPH") + "/v26.0/oauth/access_token", params=query)


def own_token(control, http, host, sandbox):
    apps = sandbox.apps
    code = control.returned(host("WWW") + "/oauth/authorize", asks(apps["INSTAGRAM_CLIENT_ID"], OWN_SCOPES))["code"]
    form = asks(apps["INSTAGRAM_CLIENT_ID"], "") | {"client_secret": apps["INSTAGRAM_CLIENT_SECRET"], "code": code}
    reply = http.post(host("API") + "/oauth/access_token", data=form | {"grant_type": "authorization_code"})
    return reply.json()["access_token"]


def test_two_registrations_know_only_their_own_login(control, http, host, sandbox):
    control.account("instagram")
    control.settings("instagram", facebook_client_id="pages", facebook_client_secret="s3cret")
    assert page_token(control, http, host, "pages", "s3cret").json()["access_token"]
    assert own_token(control, http, host, sandbox)
    own = asks(sandbox.apps["INSTAGRAM_CLIENT_ID"], PAGE_SCOPES)
    refused = control.consent(host("FACEBOOK_WWW") + "/v26.0/dialog/oauth", own)
    assert refused.status_code == 422
    assert "client_id" in refused.json()["error"]


@pytest.mark.parametrize(("options", "pages"), [({}, 1), ({"page": False}, 0), ({"professional": False}, 1)])
def test_a_person_has_a_page_an_account_behind_it_or_neither(control, http, host, sandbox, options, pages):
    control.account("instagram", **options)
    apps = sandbox.apps
    token = page_token(control, http, host, apps["INSTAGRAM_CLIENT_ID"], apps["INSTAGRAM_CLIENT_SECRET"]).json()
    query = {"fields": "id,instagram_business_account", "access_token": token["access_token"]}
    found = http.get(host("FACEBOOK_GRAPH") + "/v26.0/me/accounts", params=query).json()["data"]
    assert len(found) == pages
    assert ["instagram_business_account" in page for page in found] == [not options] * pages


def test_every_listed_refusal_is_a_fault_that_any_call_can_be_given(control, http, host, sandbox):
    control.account("instagram")
    token = own_token(control, http, host, sandbox)
    listed = http.get(control.base + "/instagram/refusals").json()
    assert len(listed) >= 40
    for refusal in listed.values():
        control.fault("instagram", "me", "error", **refusal)
        reply = http.get(host("GRAPH") + "/v26.0/me?" + urlencode({"access_token": token}))
        assert (reply.status_code, reply.json()) == (refusal["status"], refusal["body"])


@pytest.mark.parametrize(
    "chosen",
    [
        {"collaborators": '["a", "b", "c", "d"]'},
        {"collaborators": "a,b"},
        {"branded_content_sponsor_ids": "[1, 2, 3]"},
        {"collaborators": '["a"]', "trial_params": '{"graduation_strategy": "MANUAL"}'},
    ],
)
def test_choices_that_do_not_go_together_make_no_container(control, http, host, sandbox, chosen):
    made = control.account("instagram")
    form = {"access_token": own_token(control, http, host, sandbox), "media_type": "REELS", "video_url": RETURN_TO}
    reply = http.post(f"{host('GRAPH')}/v26.0/{made['id']}/media", data=form | chosen)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, 100)


def test_an_answer_does_not_wait_for_an_acknowledgement(control):
    """With Nagle's algorithm on, each answer on a kept connection takes the 40 ms that a delayed ACK takes."""
    with httpx.Client(trust_env=False) as kept:
        took = [kept.get(control.base + "/clock").elapsed.total_seconds() for _ in range(20)]
    assert min(took[5:]) < 0.03
