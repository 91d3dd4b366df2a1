"""Whether a cluster answers, takes us and has our topics: asked before anything stands on it.

A client of aiokafka says "unable to bootstrap" of a broker that is not there yet and of one that refuses our password.
The first passes by waiting, the second never does, so they are told apart here, on a connection of our own.
"""

import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    NoError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from shared.contracts.topics import SESSION_PARTITIONS, Topic
from shared.kernel.errors import SluiceError
from shared.kernel.variables import variable
from shared.messaging.kafka.brokers import CLIENT_ID, Brokers
from shared.messaging.log import LogUnavailable

ANSWER_MS: Final = 3_000


class KafkaRefused(SluiceError):
    """The cluster answers, but not to us, or it is not as we need it; the text names what is wrong and the reason."""

    code = "E_KAFKA_REFUSED"


async def check(brokers: Brokers, topics: Mapping[str, Topic] | None = None) -> None:
    """One try to be let in by one of the brokers; with `topics`, also to find them as they have to be.

    Topics that we may not see are passed by: where there are access lists, a service sees its own only.

    Raises:
        LogUnavailable: none of them answers now.
        KafkaRefused: one answers, and waiting would not help.
    """
    reasons = []
    for host, port, _ in collect_hosts(brokers.servers):
        place = f"{host}:{port}"
        try:
            found = await _described(brokers, host, port, list(topics or ()))
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            if refusal := _refusal(error, place):
                raise KafkaRefused(refusal) from error
            reasons.append(f"{place}: {_away(error, brokers)}")
        else:
            return _refuse_unlike(topics or {}, found)
    raise LogUnavailable(f"no broker answers ({'; '.join(sorted(reasons))})")


def metadata_request(topics: list[str]) -> MetadataRequest:
    """What asks for these topics and makes none of them, also where the brokers would."""
    return MetadataRequest(topics, allow_auto_topic_creation=False)


async def _described(brokers: Brokers, host: str, port: int, topics: list[str]) -> list[dict[str, Any]]:
    connection = await create_conn(host, port, client_id=CLIENT_ID, request_timeout_ms=ANSWER_MS, **brokers.connection())
    try:
        # Asked for even without topics: only a listener that has let us in answers it.
        response = await connection.send(metadata_request(topics))
    finally:
        connection.close()
    described: list[dict[str, Any]] = response.to_object()["topics"]
    return described


def _refusal(error: BaseException, place: str) -> str | None:
    """Why waiting does not help, None where it may."""
    match error:
        case SaslAuthenticationFailed():
            return f"{variable('kafka_sasl_username')} or {variable('kafka_sasl_password')}: {place} does not take them"
        case UnsupportedSaslMechanismError():
            return f"{variable('kafka_sasl_mechanism')}: {place} does not offer it"
        case IllegalSaslStateError():
            return f"{variable('kafka_security_protocol')}: {place} is a listener without SASL"
        case ValueError() if not isinstance(error, ssl.SSLError):  # aiokafka's word for a server that failed its half of SCRAM
            return f"{variable('kafka_sasl_mechanism')}: {place} does not prove that it knows the password"
        case _:
            return _tls_refusal(_tls_failure(error), place)


def _tls_refusal(failed: ssl.SSLError | None, place: str) -> str | None:
    match failed:
        case None:
            return None
        case ssl.SSLCertVerificationError():
            return f"{variable('kafka_ssl_ca_file')}: the certificate of {place} is not trusted: {failed.verify_message}"
        case _ if "ALERT" in (failed.reason or ""):
            names = f"{variable('kafka_ssl_cert_file')} or {variable('kafka_ssl_key_file')}"
            return f"{names}: {place} does not take our certificate, or lack of one: {failed.reason}"
        case _:
            return f"{variable('kafka_security_protocol')}: {place} does not speak TLS as we do: {failed.reason}"


def _tls_failure(error: BaseException | None) -> ssl.SSLError | None:
    """What TLS itself says, also where a connection broke for it; an end of the stream says nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return error
        error = error.__cause__
    return None


def _away(error: BaseException, brokers: Brokers) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else (str(error) or type(error).__name__)
    # It took the connection and then hung up: a broker that is stopping does so, and a listener that speaks otherwise.
    hung_up = isinstance(error, KafkaError | EOFError | ConnectionResetError | ssl.SSLError)
    return f"{reason}; is it a listener of {variable('kafka_security_protocol')}={brokers.protocol}?" if hung_up else reason


def _refuse_unlike(topics: Mapping[str, Topic], found: Iterable[dict[str, Any]]) -> None:
    """`KafkaRefused` unless each has its partitions, or more, and those with sessions in them the same number (architecture §4.1)."""
    wrong, sessions = [], {}
    if topics and all(one["error_code"] == TopicAuthorizationFailedError.errno for one in found):
        raise KafkaRefused("topics: the brokers let us in, but may show us none of them: their access lists lack us")
    for one in found:
        topic, count = topics[one["topic"]], len(one["partitions"])
        if one["error_code"] == UnknownTopicOrPartitionError.errno:
            wrong.append(f"{topic.name} is not there")
        elif one["error_code"] == NoError.errno and count < topic.partitions:
            wrong.append(f"{topic.name} has {count} partitions instead of {topic.partitions}")
        elif one["error_code"] == NoError.errno and topic.partitions == SESSION_PARTITIONS:
            sessions[topic.name] = count
    if not wrong and len(set(sessions.values())) > 1:
        wrong = [f"{name} has {count} partitions" for name, count in sessions.items()] + ["all of these need the same number"]
    if wrong:
        raise KafkaRefused(f"topics: {', '.join(wrong)}; `sluice topics create` makes what is missing")
