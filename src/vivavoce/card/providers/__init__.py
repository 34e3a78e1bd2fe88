"""Endpoints that can be examined, as Inspect model providers. `_registry` registers them; imports stay lazy.

viva/CHECKPOINT           the omni model in this process
viva-chat/MODEL           chat completions with audio out, of any OpenAI-compatible server
viva-realtime/MODEL       the Realtime WebSocket, audio fed at 1x
viva-cascade/MODEL        recogniser, any Inspect text model, voice: the baseline to compare with
viva-fake/SCRIPT          a scripted endpoint for tests, its failures included
"""
