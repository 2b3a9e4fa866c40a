# SPDX-License-Identifier: BSD-2-Clause
"""A QEMU under test: started with a guest, watched on its serial line, steered through its monitor (QMP)."""
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time


class Failure(Exception):
    """The guest did not do what the test asks for."""


class Machine:
    """One run of QEMU. A context: leaving it ends the process."""

    def __init__(self, binary, firmware, arguments, log):
        self.directory = tempfile.TemporaryDirectory(prefix="vlapic-")
        self.monitor_path = str(pathlib.Path(self.directory.name) / "monitor")
        self.command = [
            str(binary), "-L", str(firmware), "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio",
            "-qmp", f"unix:{self.monitor_path},server=on,wait=off", *arguments,
        ]
        self.log = log
        self.lines = []
        self.seen = 0  # lines that expect() has consumed
        self.news = threading.Condition()
        self.ended = False
        self.monitor = None

    def __enter__(self):
        self.log.write("$ " + " ".join(self.command) + "\n")
        self.log.flush()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace")
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        if self.monitor:
            self.monitor.close()
        self.directory.cleanup()

    def read(self):
        for line in self.process.stdout:
            self.log.write(line)
            with self.news:
                self.lines.append(line.rstrip())
                self.news.notify_all()
        self.log.flush()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def expect(self, pattern, seconds):
        """Waits for a line that matches; returns the match. A line that tells of a failure ends the wait."""
        deadline = time.monotonic() + seconds
        with self.news:
            while True:
                while self.seen < len(self.lines):
                    line = self.lines[self.seen]
                    self.seen += 1
                    found = re.search(pattern, line)
                    if found:
                        return found
                    if re.search(r"^guest: .*FAILED|Kernel panic", line):
                        raise Failure(line)
                left = deadline - time.monotonic()
                if self.ended:
                    raise Failure(f"ended without: {pattern}; last line: {self.last_line()}")
                if left <= 0:
                    raise Failure(f"no line in {seconds} s: {pattern}; last line: {self.last_line()}")
                self.news.wait(left)

    def last_line(self):
        return self.lines[-1] if self.lines else "(none)"

    def wait_for_end(self, seconds):
        """The exit status of QEMU."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {seconds} s") from None

    def connect(self):
        deadline = time.monotonic() + 10
        link = socket.socket(socket.AF_UNIX)
        while True:
            try:
                link.connect(self.monitor_path)
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise Failure(f"no monitor; last line: {self.last_line()}") from None
                time.sleep(0.05)
        self.monitor = link.makefile("rw")
        self.monitor.readline()  # greeting
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        """One QMP command; events in between are dropped."""
        if self.monitor is None:
            self.connect()
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.monitor.flush()
        for line in self.monitor:
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Failure(f"{command}: {answer['error']['desc']}")
        raise Failure(f"{command}: QEMU is gone")

    def monitor_text(self, line):
        """What a person would get for a line at the monitor's prompt."""
        return self.ask("human-monitor-command", **{"command-line": line})

    def wait_for_migration(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.ask("query-migrate").get("status")
            if status == "completed":
                return
            if status == "failed":
                raise Failure("migration failed")
            time.sleep(0.1)
        raise Failure(f"migration not done in {seconds} s")

    def save_to(self, path):
        """Stops the machine, and writes all of its state to a file."""
        self.ask("migrate", uri=f"file:{path}")
        self.wait_for_migration(60)
