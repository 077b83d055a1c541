"""Serves one page on the loopback address, and hears from it what came of it.

    page_server.py FILE PORT [NAME=VALUE...]      each {{NAME}} in the page becomes VALUE

Prints "ready" at once; "result TEXT" and ends when the page asks for /result?TEXT.
"""

import http.server
import sys
import urllib.parse

page = open(sys.argv[1], encoding="utf-8").read()
for argument in sys.argv[3:]:
    name, _, value = argument.partition("=")
    page = page.replace("{{" + name + "}}", value)
results = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/result":
            results.append(urllib.parse.unquote(query))
        body = page.encode() if path == "/" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
print("ready", flush=True)
while not results:
    server.handle_request()
print("result", results[0], flush=True)
