#!/usr/bin/python3
"""`view` as a server: what it gives, to whom, and that nobody can wear it down."""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BINARY = os.environ["ES_TEST_BINARY"]
PLY = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
element face 4
property list uchar int vertex_indices
end_header
0 0 0
10 0 0
0 10 0
0 0 10
3 0 2 1
3 0 1 3
3 1 2 3
3 0 3 2
"""


class Server:
    def __init__(self, folder, *words):
        self.process = subprocess.Popen([BINARY, "view", *map(str, words), "--json"], cwd=folder,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r":(\d+)/", json.loads(line)["url"]).group(1))

    def ask(self, address="/", method="GET", host=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, address, body=body, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data, answer.headers

    def memory_kb(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="echosolid-server-")
        cls.folder = pathlib.Path(cls.temporary.name)
        (cls.folder / "solid.ply").write_text(PLY)
        (cls.folder / "report.html").write_bytes(b"<!DOCTYPE html><title>r</title>" + b"x" * 3_000_000)
        subprocess.run([BINARY, "view", "solid.ply", "-o", "page.html", "-q"], cwd=cls.folder,
                       check=True, capture_output=True)
        cls.server = Server(cls.folder, "report.html")

    @classmethod
    def tearDownClass(cls):
        status, said = cls.server.stop(signal.SIGINT)
        cls.temporary.cleanup()
        assert (status, said) == (0, ""), (status, said)

    def test_a_mesh_is_served_as_the_page_that_would_be_written(self):
        server = Server(self.folder, "solid.ply", "-q")
        status, page, headers = server.ask()
        self.assertEqual(server.stop(), (0, ""))
        self.assertEqual(status, 200)
        # but for the command line in it, which has no output
        written = (self.folder / "page.html").read_bytes()
        self.assertEqual(page, written.replace(b" --output page.html", b""))
        self.assertEqual(headers["Content-Type"], "text/html; charset=utf-8")

    def test_a_report_is_served_byte_for_byte(self):
        status, page, headers = self.server.ask()
        self.assertEqual((status, page), (200, (self.folder / "report.html").read_bytes()))
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(self.server.ask(method="HEAD")[:2], (200, b""))
        self.assertEqual(self.server.ask("/favicon.ico")[:2], (200, b""))

    def test_only_this_machine_is_answered_and_only_reading(self):
        self.assertEqual(self.server.ask(host=f"localhost:{self.server.port}")[0], 200)
        for host in ("evil.example", f"127.0.0.1.evil.example:{self.server.port}", "localhost.evil"):
            self.assertEqual(self.server.ask(host=host)[0], 403)
        self.assertEqual(self.server.ask(method="POST", body=b"x")[0], 405)
        with self.assertRaises(OSError):  # other addresses of this machine
            socket.create_connection(("127.0.0.2", self.server.port), timeout=5).close()

    def test_no_file_can_be_reached_through_it(self):
        for address in ("/report.html", "/../report.html", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
                        "/./././etc/passwd", "/\\..\\x", "/favicon.ico/x"):
            status, data, _ = self.server.ask(address)
            self.assertNotIn(b"root:", data)
            self.assertIn(status, (400, 403, 404), address)

    def test_garbage_idlers_and_crowds_do_not_stop_it(self):
        def connect():
            return socket.create_connection(("127.0.0.1", self.server.port), timeout=5)

        before = self.server.memory_kb()
        for junk in (b"\0" * 5000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000, b"\x16\x03\x01\x02\0" * 100,
                     b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n"):
            with connect() as s:
                try:
                    s.sendall(junk)
                    s.settimeout(0.3)
                    s.recv(100)
                except OSError:
                    pass
        idlers = []
        for _ in range(40):  # ask, and do not read
            s = connect()
            s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            idlers.append(s)
        time.sleep(0.5)
        self.assertEqual(self.server.ask()[0], 200)
        # 40 readers that take nothing cost pieces of 64 KiB, not pages of 3 MB.
        grown = self.server.memory_kb() - before
        print(f"40 slow readers cost {grown} kB", file=sys.stderr)
        if "ES_TEST_QUICK" not in os.environ:  # a sanitizer keeps what was freed
            self.assertLess(grown, 20_000)
        crowd = []
        for _ in range(200):
            try:
                crowd.append(connect())
            except OSError:
                break
        for s in idlers + crowd:
            s.close()
        for _ in range(50):  # it looks again as soon as they have gone
            try:
                if self.server.ask()[0] == 200:
                    break
            except OSError:
                time.sleep(0.1)
        else:
            self.fail("it does not answer any more")

    def test_a_taken_port_is_said_and_a_wrong_one_is_wrong_usage(self):
        done = subprocess.run([BINARY, "view", "report.html", "--port", str(self.server.port)],
                              cwd=self.folder, capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.server.port), done.stderr)
        done = subprocess.run([BINARY, "view", "report.html", "--port", "70000"], cwd=self.folder,
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit(77)
    unittest.main(verbosity=2)
