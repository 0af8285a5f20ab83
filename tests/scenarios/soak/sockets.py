# WebSockets of aiohttp: some at once, some echoes on each, then an orderly close. Arguments: URL, CA file.
import asyncio, ssl, sys

import aiohttp

url, ca = sys.argv[1:]


async def talk(session, context):
    async with session.ws_connect(url, ssl=context) as socket:
        for number in range(20):
            await socket.send_str(str(number))
            assert await socket.receive_str() == str(number)
            await asyncio.sleep(0.02)


async def main():
    context = ssl.create_default_context(cafile=ca)
    async with aiohttp.ClientSession() as session:
        await asyncio.wait_for(asyncio.gather(*(talk(session, context) for _ in range(8))), 60)


asyncio.run(main())
