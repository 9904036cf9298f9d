"""Property tests have no deadline: how fast a machine under load is says nothing about the code."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("enc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("enc")
