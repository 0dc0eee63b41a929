"""Pipecat on the phone: its FastAPI transport, its Twilio serializer and its OpenAI realtime service in one pipeline a call."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.peers.face import GREETING, INSTRUCTIONS, MODEL, arguments, listen, packages, phone

with packages("pipecat", __doc__):
    from fastapi import FastAPI, WebSocket
    from loguru import logger
    from pipecat.frames.frames import LLMRunFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
    from pipecat.runner.utils import parse_telephony_websocket
    from pipecat.serializers.twilio import TwilioFrameSerializer
    from pipecat.services.openai.realtime.events import (
        AudioConfiguration,
        AudioInput,
        AudioOutput,
        PCMAudioFormat,
        SessionProperties,
        TurnDetection,
    )
    from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
    from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
    from pipecat.workers.runner import WorkerRunner

PHONE_RATE = 8000


def _model(base_url: str) -> OpenAIRealtimeLLMService:
    # The service resamples to 24 kHz and takes what comes for 24 kHz, whatever the session says: PCM is all it can speak.
    audio = AudioConfiguration(
        input=AudioInput(format=PCMAudioFormat(), turn_detection=TurnDetection()),
        output=AudioOutput(format=PCMAudioFormat(), voice="alloy"),
    )
    return OpenAIRealtimeLLMService(
        api_key="none",
        base_url=base_url,
        settings=OpenAIRealtimeLLMService.Settings(
            model=MODEL,
            system_instruction=INSTRUCTIONS,
            session_properties=SessionProperties(audio=audio),
        ),
    )


async def _converse(caller: WebSocket, base_url: str) -> None:
    """Carry one call until its caller leaves."""
    _, call = await parse_telephony_websocket(caller)
    serializer = TwilioFrameSerializer(
        stream_sid=call["stream_id"],
        call_sid=call["call_id"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    transport = FastAPIWebsocketTransport(
        caller,
        FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
    )
    context = LLMContext([{"role": "user", "content": GREETING}])
    from_user, from_assistant = LLMContextAggregatorPair(context)
    worker = PipelineWorker(
        Pipeline([transport.input(), from_user, _model(base_url), transport.output(), from_assistant]),
        params=PipelineParams(audio_in_sample_rate=PHONE_RATE, audio_out_sample_rate=PHONE_RATE),
        idle_timeout_secs=None,  # silent calls are measured, too
    )

    async def greet(_transport: FastAPIWebsocketTransport, _caller: WebSocket) -> None:
        await worker.queue_frames([LLMRunFrame()])

    async def leave(_transport: FastAPIWebsocketTransport, _caller: WebSocket) -> None:
        await worker.cancel()

    transport.add_event_handler("on_client_connected", greet)
    transport.add_event_handler("on_client_disconnected", leave)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def answering(model_url: str) -> FastAPI:
    """The app, whose calls go to that model."""
    app = phone()
    base_url = model_url.partition("?")[0]  # the service writes ?model= itself

    async def media_stream(caller: WebSocket) -> None:
        await caller.accept()
        await _converse(caller, base_url)

    app.add_api_websocket_route("/media-stream", media_stream)
    return app


if __name__ == "__main__":
    chosen = arguments(__doc__)
    # It logs each frame's doings at the debug level unless told not to, which would be most of what is measured.
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    listen(answering(chosen.model_url), chosen.port)
