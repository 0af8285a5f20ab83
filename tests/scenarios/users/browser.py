# Drives a headless Chromium over its debugging pipe: opens a page, stays on it for a while, opens it anew as another
# visitor, and prints what each page saw, as JSON. Python's standard library only.
# Arguments: URL, name server, seconds, SHA-256 of the certificate's key (base64), the protocol by which the page has to ask
# at last, further options of Chromium.
import json, os, subprocess, sys, tempfile, time

url, resolver, seconds, key, protocol, *options = sys.argv[1:]


class Refused(Exception):
    pass


class Browser:
    def __init__(self, folder):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        chromium = [
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={folder}/profile", f"--ignore-certificate-errors-spki-list={key}",
            "--remote-debugging-pipe", *options, "about:blank",
        ]
        with open(f"{folder}/resolv.conf", "w") as file:
            file.write(f"nameserver {resolver}\n")
        # A view of the file system in which our name server is the machine's.
        script = f'mount --bind {folder}/resolv.conf /etc/resolv.conf && exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", script, "-", *chromium],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(f"{folder}/log", "w"), env={**os.environ, "HOME": folder},
        )
        os.close(theirs_in), os.close(theirs_out)
        self.reader, self.writer = os.fdopen(ours_in, "rb", 0), os.fdopen(ours_out, "wb", 0)
        self.rest, self.number = b"", 0

    def ask(self, method, session=None, **params):
        self.number += 1
        question = {"id": self.number, "method": method, "params": params}
        if session:
            question["sessionId"] = session
        self.writer.write(json.dumps(question).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                piece = self.reader.read(65536)
                if not piece:
                    raise SystemExit("chromium has gone")
                self.rest += piece
            message, self.rest = self.rest.split(b"\0", 1)
            message = json.loads(message)
            if message.get("id") == self.number:
                if "error" in message:
                    raise Refused(f"{method}: {message['error']}")
                return message["result"]

    def visit(self):
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url=url, browserContextId=context)["targetId"]
        return self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def look(self, session):
        # A page that is about to change has no place where it could be asked.
        expression = "JSON.stringify(window.seen || {page: document.documentElement.innerText})"
        try:
            told = self.ask("Runtime.evaluate", session, expression=expression)["result"]
        except Refused as refused:
            return {"page": str(refused)}
        return json.loads(told["value"]) if "value" in told else {"page": told}

    def wait(self, session, until):
        deadline = time.monotonic() + 60
        while not ("errors" in (seen := self.look(session)) and until(seen)) and time.monotonic() < deadline:
            time.sleep(0.2)


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    browser = Browser(folder)
    try:
        first = browser.visit()
        time.sleep(float(seconds))
        browser.wait(first, lambda seen: protocol in seen["protocols"])
        second = browser.visit()
        browser.wait(second, lambda seen: seen.get("uploads"))
        print(json.dumps([browser.look(first), browser.look(second)]))
        browser.ask("Browser.close")
    finally:
        browser.process.terminate()
        try:
            browser.process.wait(10)
        except subprocess.TimeoutExpired:
            browser.process.kill()
            browser.process.wait()
