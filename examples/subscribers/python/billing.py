import asyncio

from throughcare_events import SQLiteInbox, Subscriber
from throughcare_events.contracts.attendance import SessionAttended


async def main():
    async with Subscriber("billing", inbox=SQLiteInbox("inbox.db")) as events:

        @events.on(SessionAttended)
        async def credit(event, envelope, tx):
            if event.family_only:
                return  # the patient was not there
            row = (envelope.subject, event.minutes_credited)
            tx.execute("CREATE TABLE IF NOT EXISTS credits (episode TEXT, minutes INTEGER)")
            tx.execute("INSERT INTO credits VALUES (?, ?)", row)


asyncio.run(main())
