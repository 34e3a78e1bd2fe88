"""The server: realtime conversation and HTTP over any engine that keeps `vivavoce.omni.engine_protocol`."""
