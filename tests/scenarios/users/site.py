# A site as somebody would host it: a page with a WebSocket and uploads. Prints its port; ends with its standard input.
import asyncio, hashlib, sys

from aiohttp import WSMsgType, web

PAGE = """<!doctype html><meta charset="utf-8"><title>site</title><script>
const seen = window.seen = {echoes: 0, uploads: 0, downloads: 0, errors: [], protocols: {}, closed: null};
const blame = (what) => (e) => seen.errors.push(what + ": " + (e.message || e));
const socket = new WebSocket(location.href.replace("http", "ws") + "ws");
socket.onopen = () => socket.send("0");
socket.onmessage = (m) => { seen.echoes = +m.data + 1; setTimeout(() => socket.send(String(seen.echoes)), 100); };
socket.onclose = (e) => { seen.closed = e.code; };
const body = new Uint8Array(1 << 20).map((_, i) => i * 7 + (i >> 8));
const hex = async (b) => Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", b)))
  .map((x) => x.toString(16).padStart(2, "0")).join("");
async function upload() {
  const answer = await fetch("upload", {method: "POST", body});
  const told = await answer.text();
  if (told !== await hex(body)) throw new Error("the service got something else: " + answer.status + " " + told);
  seen.uploads++;
}
async function download() {
  const answer = await fetch("page?" + seen.downloads, {cache: "no-store"});
  if (!(await answer.text()).includes("alice")) throw new Error("not our page: " + answer.status);
  seen.downloads++;
}
const count = (e) => { seen.protocols[e.nextHopProtocol] = (seen.protocols[e.nextHopProtocol] || 0) + 1; };
async function go() {
  performance.getEntriesByType("navigation").forEach(count);
  for (;;) {
    await upload().catch(blame("upload"));
    await download().catch(blame("download"));
    performance.getEntriesByType("resource").forEach(count);
    performance.clearResourceTimings();
    await new Promise((r) => setTimeout(r, 200));
  }
}
go();
</script>"""


async def page(request):
    return web.Response(text=PAGE, content_type="text/html")


async def user(request):
    return web.Response(text="hello " + request.headers.get("x-wandergate-user", "nobody"))


async def upload(request):
    digest = hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
    return web.Response(text=digest.hexdigest())


async def socket(request):
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        if message.type == WSMsgType.TEXT:
            await answer.send_str(message.data)
    return answer


app = web.Application()
app.add_routes([web.get("/", page), web.get("/page", user), web.post("/upload", upload), web.get("/ws", socket)])


async def main():
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


asyncio.run(main())
