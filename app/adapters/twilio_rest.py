"""Twilio's REST API, as far as we use it: leading a live call to a URL. Source: Calls resource, update."""

import httpx
import structlog

log = structlog.get_logger()

REST_SECONDS = 5.0


class TwilioRest:
    """One account, over httpx. A failure is logged and reported, never raised: there is nobody to catch it for a caller."""

    def __init__(self, base: str, account_sid: str, auth_token: str, client: httpx.AsyncClient) -> None:
        """base: origin of the API, Twilio's or a stand-in's."""
        self.calls = f"{base.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Calls"
        self.auth = (account_sid, auth_token)
        self.client = client

    async def redirect(self, call_sid: str, url: str) -> bool:
        """Lead a live call to a URL of ours. False if the carrier would not; a call that is over (21220) is no fault."""
        try:
            answer = await self.client.post(
                f"{self.calls}/{call_sid}.json",
                data={"Url": url, "Method": "POST"},
                auth=self.auth,
                timeout=REST_SECONDS,
            )
        except httpx.HTTPError as wrong:
            log.warning("Twilio's API does not answer", call_sid=call_sid, why=str(wrong) or type(wrong).__name__)
            return False
        if answer.is_success:
            return True
        log.info(
            "Twilio's API refused a call update", call_sid=call_sid, status=answer.status_code, body=answer.text[:200]
        )
        return False
