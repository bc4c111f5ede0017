"""The standalone server: an aiohttp application in front of a synthesizer."""
