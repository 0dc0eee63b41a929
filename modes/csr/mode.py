"""Customer service: finds out who is calling, tells about orders, takes returns, refunds, new addresses and questions."""

import re
from typing import Annotated, Any, Literal

import msgspec

from app.mode import CallContext, Disclosure, EndCall, Mode, ToolError, Transfer, about, tool
from modes.csr import orders, writes
from modes.csr.caller import caller_rows
from modes.csr.demo import put_demo_rows
from modes.csr.proof import Claim, identified, plain, prove, whoever
from modes.csr.tables import Ticket

NO_CLAIM = (
    "Ask for the postal code of the account or the number of an order; one of them is needed besides the phone number."
)
NO_PHONE = "Ask for the phone number on the account, with area code, read it back, and call identify with it."
WRONG = "That does not match. Say so, without saying which part, and ask the caller to check. Tries left: {left}."
LOCKED = (
    "This caller cannot be identified by phone for now, whatever they say. Tell them so; offer a person (put_through) or a written "
    "question (open_ticket). Do not call identify again."
)
E164 = re.compile(r"\+[1-9]\d{6,14}")


class Service(msgspec.Struct):
    """What came of the call."""

    result: Literal["none", "answered", "return", "refund", "address", "ticket", "transferred"] = "none"
    identified: bool = False
    locked_out: bool = False
    customer: int = 0
    order: str = ""
    reference: str = ""
    amount_cents: int = 0


Phone = Annotated[str, about("phone number on the account, with area code; empty: the one that calls", max_length=30)]
PostalCode = Annotated[str, about("postal code of the account, as read back", max_length=12)]
OrderNumber = Annotated[str, about("order number, digits, as read back", max_length=20)]
Line = Annotated[int, about("line of the article, from order_status", ge=1, le=999)]
Words = Annotated[str, about("in the caller's words", min_length=1, max_length=600)]
Part = Annotated[str, about("as read back to the caller", min_length=2, max_length=80)]
ReturnReason = Literal["damaged", "wrong article", "does not fit", "changed mind", "other"]
RefundReason = Literal["damaged", "missing", "wrong article"]
Why = Annotated[str, about("in a few words", max_length=200)]


@tool
async def put_through(
    call: CallContext, desk: Annotated[str, about("name of the desk", max_length=40)], reason: Why
) -> Transfer:
    """Connect the caller to a person, as soon as they ask for one."""
    if desk not in call.office.desks:
        raise ToolError(f"There is no desk {desk!r}; there are: {', '.join(sorted(call.office.desks))}.")
    return Transfer(to=desk, reason=reason, outcome={"result": "transferred"})


@tool
async def identify(
    call: CallContext, phone: Phone = "", postal_code: PostalCode = "", order_number: OrderNumber = ""
) -> dict[str, Any]:
    """Find out who is calling, before anything about orders is said: phone number and postal code or order number, read back."""
    caller = from_number(call)
    claimed = e164(phone) if phone.strip() else caller
    if not claimed:
        raise ToolError(NO_PHONE)
    postal, order = (plain(text) for text in (postal_code, order_number))
    if not postal and not order:
        raise ToolError(NO_CLAIM)
    claim = Claim(call.call_sid, caller, claimed, postal, order)
    async with call.session() as session:  # committed before a refusal is raised: it holds the count of tries
        verdict = await prove(session, claim, call.now)
    if verdict.result == "locked":
        call.outcome["locked_out"] = True
        raise ToolError(LOCKED)
    if verdict.result == "wrong":
        raise ToolError(WRONG.format(left=verdict.left))
    call.outcome.update(identified=True, locked_out=False, customer=verdict.customer)
    return {"identified": True}


@tool(filler="Let me have a look.")
async def order_status(call: CallContext, order_number: OrderNumber = "") -> dict[str, Any]:
    """Look up one order with its articles, or without a number the latest orders. Needs identify."""
    async with call.session() as session:
        customer = await identified(session, call.call_sid)
        if not order_number.strip():
            found = await orders.latest(session, customer)
            answer: dict[str, Any] = {"orders": [orders.summary(order) for order in found]}
        else:
            order = await orders.order_of(session, customer, order_number)
            articles = await orders.lines_of(session, order)
            shown = [orders.described(article) for article in articles[: orders.LINES]]
            answer = {**orders.summary(order), "articles": shown, "more_articles": len(articles) - len(shown)}
            call.outcome["order"] = order.number
    if call.outcome.get("result", "none") == "none":
        call.outcome["result"] = "answered"
    return answer


@tool(writes=True, filler="One moment please.")
async def return_item(call: CallContext, order_number: OrderNumber, line: Line, reason: ReturnReason) -> dict[str, Any]:
    """Register an article for return."""
    async with call.session() as session:
        customer = await identified(session, call.call_sid, writing=True)
        article = await orders.article_of(session, customer, order_number, line)
        ticket = await writes.take_back(session, customer, article, reason, by(call), call.now)
    call.outcome.update(result="return", order=ticket.order_number, reference=ticket.reference)
    return {**_done(ticket, call), "article": orders.clean(article.article, 60)}


@tool(writes=True, filler="Let me check that for you.")
async def refund_item(
    call: CallContext, order_number: OrderNumber, line: Line, reason: RefundReason
) -> Transfer | dict[str, Any]:
    """Give the money for an article back that came damaged, wrong or not at all. Larger sums go to a person."""
    desk = deciding_desk(call)
    async with call.session() as session:
        customer = await identified(session, call.call_sid, writing=True)
        article = await orders.article_of(session, customer, order_number, line)
        ticket = await writes.give_back(session, customer, article, reason, by(call), call.now)
    if ticket is None:
        if not desk:
            raise ToolError(
                "A person has to decide about this refund, and none can be reached. Say so; offer open_ticket."
            )
        return Transfer(
            to=desk, reason=f"refund above the limit, order {article.order_number}", outcome={"result": "transferred"}
        )
    call.outcome.update(
        result="refund", order=ticket.order_number, reference=ticket.reference, amount_cents=ticket.amount_cents
    )
    return {**_done(ticket, call), "amount": orders.dollars(ticket.amount_cents)}


@tool(writes=True)
async def change_address(call: CallContext, street: Part, city: Part, postal_code: PostalCode) -> dict[str, Any]:
    """Change the address of the account."""
    address = writes.Address(*(orders.clean(part, 80) for part in (street, city, postal_code)))
    if not all(address):
        raise ToolError("A part of the address is empty; ask for street, city and postal code.")
    async with call.session() as session:
        customer = await identified(session, call.call_sid, writing=True)
        ticket = await writes.move(session, customer, address, by(call))
    call.outcome.update(result="address", reference=ticket.reference)
    return {**_done(ticket, call), "holds_for": "orders that are not shipped yet, and later ones"}


@tool(writes=True)
async def open_ticket(call: CallContext, question: Words, callback: Phone = "") -> dict[str, Any]:
    """Write a question down for the team, who ring back; for callers who are not identified, too."""
    words = orders.clean(question, 600)
    if not words:
        raise ToolError("The question is empty; ask the caller what to pass on.")
    phone = e164(callback) if callback.strip() else from_number(call)
    if not phone:
        raise ToolError("There is no number to ring back. Ask for one, with area code, and read it back.")
    async with call.session() as session:
        customer = await whoever(session, call.call_sid)
        number = customer.number if customer is not None else None
        ticket = await orders.file_ticket(
            session, **by(call)._asdict(), kind="question", customer_number=number, text=words, phone=phone
        )
    call.outcome.update(result="ticket", reference=ticket.reference)
    return _done(ticket, call)


@tool
async def end_call(reason: Why) -> EndCall:
    """End the call, after you and the caller have said goodbye."""
    return EndCall(reason=reason)


def e164(told: str) -> str:
    """A phone number as it was told: ten digits are a North American one. Raises ToolError for what is no number."""
    digits = "".join(letter for letter in told if letter in "0123456789")
    number = f"+{digits}" if told.strip().startswith("+") or (len(digits) == 11 and digits[0] == "1") else f"+1{digits}"
    if not E164.fullmatch(number) or (number.startswith("+1") and len(number) != 12):
        raise ToolError(
            f"Expected a phone number with its area code, got {len(digits)} digits. Ask for it again, digit by digit."
        )
    return number


def from_number(call: CallContext) -> str:
    """The number that calls, or nothing where it is withheld."""
    return call.caller if E164.fullmatch(call.caller) else ""


def deciding_desk(call: CallContext) -> str:
    """Who decides about money: billing if there is one, else the first desk that can be reached; empty if none."""
    reached = [name for name, desk in call.office.desks.items() if desk.number]
    return "billing" if "billing" in reached else next(iter(reached), "")


def by(call: CallContext) -> writes.By:
    """What every ticket of a call has in common."""
    return writes.By(key=call.key, call_sid=call.call_sid)


def _done(ticket: Ticket, call: CallContext) -> dict[str, Any]:
    """done_before: in an earlier request, so that nothing new was done by this one."""
    return {"done": ticket.kind, "reference": ticket.reference, "done_before": ticket.key.partition("/")[0] != call.key}


mode = Mode(
    name="csr",
    prompt="csr.md",
    first_turn=[put_through],
    tools=[
        put_through,
        identify,
        order_status,
        return_item,
        refund_item,
        change_address,
        open_ticket,
        end_call,
    ],
    opening="(A caller is on the line. Greet them in one short sentence with the office's name, and ask how you can help.)",
    outcome=Service,
    disclosure=Disclosure(ai=True, when="always"),
    caller_rows=caller_rows,
    demo=put_demo_rows,
)
