#!/usr/bin/python3
"""uamqp, the AMQP stack under the older Python clients of Event Hubs (azure-uamqp-c with Python around it), as a contender of the
line protocol. Debian's package python3-uamqp, on Debian's own Python."""

import itertools
import logging
import os
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import lines

try:
    import uamqp
    from uamqp import authentication, constants, types
except ImportError:
    print("missing uamqp is not installed", flush=True)
    sys.exit(0)

RULE, KEY = "RootManageSharedAccessKey", "SAS_KEY_VALUE"
CREDIT = 5000
QUEUED = 500  # its queue is walked at every turn, so a longer one costs more
PARTITION_KEY = "x-opt-partition-key"
BATCH_FORMAT = 0x80013700


# -- events ----------------------------------------------------------------------------------------


def body_of(i, size):
    return bytes((31 * i + 7 * at + (at >> 5)) & 255 for at in range(size)) if size == 1024 else b"x" * size


def events_of(size):
    """The reference event of ../reference.h in the values an application has before it sends: a thousand of them."""
    return [(f"{0x5f3a0000 + i:08x}-3c41-4f6e-9d2b-{0x7c52e19b0000 + 17 * i:012x}", 21000000000 + i, i % 2 == 0, body_of(i, size))
            for i in range(1000)]


def message_of(event):
    message_id, reading, calibrated, body = event
    return uamqp.Message(
        body=body,
        properties=uamqp.message.MessageProperties(message_id=message_id, content_type="application/json"),
        annotations={types.AMQPSymbol(PARTITION_KEY): "building-7/floor-3"},
        application_properties={"device": "thermostat-7f3a91", "reading": types.AMQPLong(reading), "calibrated": calibrated})


def received_form(event, i):
    message = message_of(event)
    message.annotations.update({
        types.AMQPSymbol("x-opt-sequence-number"): types.AMQPLong(5000000000 + i), types.AMQPSymbol("x-opt-offset"): "4398046511104",
        types.AMQPSymbol("x-opt-enqueued-time"): uamqp.c_uamqp.timestamp_value(1700000000000 + i)})
    return message.encode_message()


def read(message):
    """Every field, as an application would have them."""
    return message.annotations, message.properties.message_id, message.properties.content_type, message.application_properties


def size_of(message):
    return sum(len(part) for part in message.get_data())


# -- the contender ---------------------------------------------------------------------------------


class Contender:
    name = "uamqp"
    version = uamqp.__version__
    tasks = ["encode", "decode", "batch", "batch-decode", "send", "receive", "roundtrip", "connect"]
    settings = [
        f"Python {sys.version.split()[0]} of Debian, logging off; TLS only, for it has no plain TCP; frames of 64 KiB",
        f"send: a message built for each event, {QUEUED} queued at a time; receive: a callback for each event, prefetch {CREDIT}",
        "batch: BatchMessage of encoded messages; claims: its own SASTokenAuth",
    ]

    def __init__(self):
        self.order = self.events = self.encoded = self.client = None
        self.count = self.bytes = 0

    # -- clients

    def uri(self):
        return f"amqps://{self.order.host}:{self.order.port}/{self.order.address}"

    def options(self):
        order = self.order
        auth = authentication.SASTokenAuth.from_shared_access_key(self.uri(), RULE, KEY, port=order.port, verify=order.ca, timeout=30)
        settle = constants.SenderSettleMode.Settled if order.settled else constants.SenderSettleMode.Unsettled
        return {"auth": auth, "send_settle_mode": settle, "max_frame_size": 65536}

    def new_sender(self):
        client = uamqp.SendClient(self.uri(), **self.options())
        client.open()
        return client

    def new_receiver(self):
        client = uamqp.ReceiveClient(self.uri(), prefetch=CREDIT, shutdown_after_timeout=False, **self.options())
        # What receive_messages() sets, which would not return before the client is closed.
        client._streaming_receive = True
        client._message_received_callback = self.received
        client.open()
        return client

    @staticmethod
    def ready(client):
        while not client.client_ready():
            pass

    # -- commands

    def open(self, order):
        if order.task not in self.tasks:
            raise lines.Cannot(f"this program has no task {order.task}")
        codec = order.task in ("encode", "decode", "batch", "batch-decode")
        if not codec and not order.tls:
            raise lines.Cannot("it has no plain TCP")
        self.order, self.events = order, events_of(order.size)
        if order.task == "decode":
            self.encoded = [received_form(event, i) for i, event in enumerate(self.events)]
        if order.task == "batch-decode":
            self.encoded = self.batch_of(0, 1000)
        if order.task in ("send", "roundtrip"):
            self.client = self.new_sender()
        if order.task == "receive":
            self.client = self.new_receiver()
        if self.client:
            self.ready(self.client)

    def run(self, events, samples):
        self.count = self.bytes = 0
        size = getattr(self, self.order.task.replace("-", "_"))(events, samples)
        return max(events, self.count), size

    def close(self):
        if self.client:
            self.client.close()
        self.client = self.encoded = None

    # -- tasks

    def encode(self, events, _samples):
        for i in range(events):
            if len(message_of(self.events[i % 1000]).encode_message()) < self.order.size:
                raise RuntimeError("too short")
        return events * self.order.size

    def decode(self, events, _samples):
        size = 0
        for i in range(events):
            message = uamqp.Message.decode_from_bytes(self.encoded[i % 1000])
            read(message)
            size += size_of(message)
        return size

    def messages(self, first, count):
        return (message_of(self.events[i % 1000]) for i in range(first, first + count))

    def batch_of(self, first, count):
        """The bytes of a batch; the library's own BatchMessage is none larger than 1 MiB."""
        envelope = uamqp.Message(body=[message.encode_message() for message in self.messages(first, count)], msg_format=BATCH_FORMAT)
        return envelope.encode_message()

    def batch(self, events, _samples):
        for first in range(0, events, 1000):
            if len(self.batch_of(0, min(1000, events - first))) < self.order.size:
                raise RuntimeError("too short")
        return events * self.order.size

    def batch_decode(self, events, _samples):
        size = 0
        for first in range(0, events, 1000):
            batch = uamqp.Message.decode_from_bytes(self.encoded)
            for part in itertools.islice(batch.get_data(), events - first):
                message = uamqp.Message.decode_from_bytes(part)
                read(message)
                size += size_of(message)
        return size

    def next_message(self, first, count):
        if self.order.batch == 1:
            return message_of(self.events[first % 1000])
        return uamqp.BatchMessage(data=self.messages(first, count))

    def send(self, events, _samples):
        client, begun = self.client, 0
        queued = max(1, QUEUED // self.order.batch)
        while begun < events or client.messages_pending():
            while begun < events and len(client._pending_messages) < queued:
                count = min(self.order.batch, events - begun)
                client.queue_message(self.next_message(begun, count))
                begun += count
            client.do_work()
        return events * self.order.size

    def received(self, message):
        self.count += 1
        self.bytes += size_of(message)

    def receive(self, events, _samples):
        while self.count < events:
            self.client.do_work()
        return self.bytes

    def roundtrip(self, events, samples):
        for i in range(events):
            since = time.monotonic_ns()
            self.client.send_message(self.next_message(i, 1))
            if samples is not None:
                samples[i] = time.monotonic_ns() - since
        return events * self.order.size

    def connect(self, events, samples):
        for i in range(events):
            since = time.monotonic_ns()
            client = self.new_sender()
            client.send_message(self.next_message(i, 1))
            if samples is not None:
                samples[i] = time.monotonic_ns() - since
            client.close()
        return events * self.order.size


logging.disable(logging.CRITICAL)
lines.serve(Contender())
