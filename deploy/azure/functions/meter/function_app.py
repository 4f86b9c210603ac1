"""The meter behind an event hub: each call that API Management logged becomes an event in Application Insights.

It takes the place of the chargeback solution's function, and has its name, its trigger and its settings.
"""

import os
from typing import List  # noqa: UP035 - the runtime refuses list[...] when it indexes the function

import azure.functions as func

from tokenweir.delivery import BrokerMessage
from tokenweir.serve.hosted_meter import HostedMeter

hosted = HostedMeter()

app = func.FunctionApp()


@app.function_name("ChargebackEventHubTrigger")
@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%EventHubName%",
    connection="EventHubConnection",
    consumer_group=os.environ.get("EventHubConsumerGroup", "$Default"),  # noqa: SIM112 - as the settings beside it
    cardinality=func.Cardinality.MANY,
)
# The host moves its checkpoint on only when this has returned, or was tried as often as it may be: as long as it takes.
@app.retry(
    strategy="exponential_backoff",
    max_retry_count="-1",
    minimum_interval="00:00:05",
    maximum_interval="00:05:00",
)
async def meter(events: List[func.EventHubEvent]) -> None:  # noqa: UP006
    await hosted.take(
        "event hub",
        [BrokerMessage(body=event.get_body(), place=f"sequence number {event.sequence_number}") for event in events],
    )
