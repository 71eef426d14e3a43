import httpx
import pytest
from label_studio_sdk.core.api_error import ApiError

from integrations.label_studio.errors import LabelStudioRejected
from integrations.label_studio.sdk import sdk_client
from integrations.outbound.errors import OutboundRefused
from tests.contracts.label_studio.fault_proxy import fault_proxy

pytestmark = pytest.mark.label_studio


def test_the_sdk_calls_through_our_client(label_studio_server, lane):
    with sdk_client(label_studio_server.url, label_studio_server.token) as sdk:
        assert sdk.users.whoami().email == label_studio_server.admin_email
        assert sdk.projects.get(lane).id == lane
        assert lane in {project.id for project in sdk.projects.list()}


def test_a_personal_token_is_traded_by_ours(label_studio_server):
    with label_studio_server.sign_in(label_studio_server.admin_email) as browser:
        answer = browser.post("/api/token/")
        token = (
            answer.json()["token"]
            if answer.status_code == 201
            else browser.get("/api/token/").json()[0]["token"]
        )
    with fault_proxy(label_studio_server.url) as (url, faults), sdk_client(url, token) as sdk:
        assert sdk.users.whoami().email == label_studio_server.admin_email
    assert "POST /api/token/refresh" in faults.seen[0]


def test_the_sdk_follows_no_redirect_and_goes_nowhere_else(label_studio_server):
    with (
        fault_proxy(label_studio_server.url) as (url, faults),
        sdk_client(url, label_studio_server.token) as sdk,
    ):
        faults.status, faults.headers = 302, {"Location": label_studio_server.url}
        with pytest.raises(ApiError) as caught:
            sdk.users.whoami()
        assert label_studio_server.token not in str(caught.value)
        assert len(faults.seen) == 1
        http = sdk._client_wrapper.httpx_client.httpx_client
        with pytest.raises(OutboundRefused, match="belong to"):
            http.get(label_studio_server.url)
    with pytest.raises(LabelStudioRejected):
        sdk_client("http://169.254.169.254", "0" * 40).__enter__()


def test_the_sdk_gives_up_in_time(label_studio_server):
    with fault_proxy(label_studio_server.url) as (url, faults):
        with sdk_client(url, label_studio_server.token, timeout_s=0.5) as sdk:
            faults.delay_s = 5
            with pytest.raises(httpx.TimeoutException):
                sdk.users.whoami(request_options={"max_retries": 0})
