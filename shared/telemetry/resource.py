"""Who spans and metrics are of."""

from typing import Final

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, OTELResourceDetector, Resource

NAMESPACE: Final = "sluice"


def resource_of(service: str) -> Resource:
    """A service of this process: its name, our namespace, an instance id that the SDK draws anew for each process.

    What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say goes before all three, as everywhere with OpenTelemetry.
    """
    return Resource.create({SERVICE_NAME: service, SERVICE_NAMESPACE: NAMESPACE}).merge(OTELResourceDetector().detect())
