"""A host with WinRM over HTTPS, for the tests: PORT basic|ntlm|both.

It answers in the forms of Windows (MS-WSMV), lets in who is listed in `users`, by Basic or by a
real NTLM acceptor (pyspnego, bound to the certificate), and runs scripts with `sh`. What was
done is written to `journal`, a line of JSON each; `fault` says what is to go wrong.
"""

import base64
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import uuid
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
CALLED = re.compile("-NoProfile -NonInteractive -OutputFormat Text -EncodedCommand ([A-Za-z0-9+/=]+)")
HOW = sys.argv[2]
# A piece of output is so long: longer characters are split.
PIECE = 3
ANSWER_MAX = 60_000

with open("cert.pem") as file:
    CERTIFICATE = ssl.PEM_cert_to_DER_cert(file.read())
with open("users") as file:
    USERS = {line.split(":")[1]: line.rstrip("\n").split(":", 2)[2] for line in file}

lock = threading.Lock()
shells = {}


def note(**entry):
    with lock, open("journal", "a") as file:
        file.write(json.dumps(entry) + "\n")


def fault():
    try:
        with open("fault") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


class Lost(Exception):
    """The answer does not arrive."""


class Refused(Exception):
    def __init__(self, value, kind, code, message):
        super().__init__(message)
        self.value, self.kind, self.code, self.message = value, kind, code, message


class Running:
    """A script that runs, and what it has written that nobody has fetched yet."""

    def __init__(self, script):
        self.changed = threading.Condition()
        self.written = {"stdout": b"", "stderr": b""}
        self.clixml = "#clixml" in script
        self.process = subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.open = 2
        for name in ("stdout", "stderr"):
            threading.Thread(target=self.read, args=(name,), daemon=True).start()

    def read(self, name):
        pipe = getattr(self.process, name)
        kept = b""
        while piece := os.read(pipe.fileno(), 8192):
            if name == "stderr" and self.clixml:
                kept += piece
                continue
            with self.changed:
                self.changed.wait_for(lambda: len(self.written[name]) < 1_000_000 or self.process.poll() is not None)
                self.written[name] += piece
                self.changed.notify_all()
        if kept:
            kept = objects(kept.decode())
        with self.changed:
            self.written[name] += kept
            self.open -= 1
            if self.open == 0:
                self.process.wait()
            self.changed.notify_all()

    def fetch(self, seconds):
        """What there is; nothing where nothing came in time."""
        with self.changed:
            self.changed.wait_for(lambda: any(self.written.values()) or self.open == 0, seconds)
            if not any(self.written.values()) and self.open:
                return None
            part = {name: text[:ANSWER_MAX] for name, text in self.written.items()}
            self.written = {name: text[ANSWER_MAX:] for name, text in self.written.items()}
            self.changed.notify_all()
            done = self.open == 0 and not any(self.written.values())
            return part, self.process.returncode if done else None

    def kill(self):
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass


def objects(text):
    """As PowerShell writes errors where nobody reads them."""
    text = escape(text.replace("_x", "_x005F_x")).replace("\n", "_x000D__x000A_")
    return (
        '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
        '<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Object</T></TN><MS><I64 N="SourceId">1</I64>'
        f'<PR N="Record"><AV>Preparing modules for first use.</AV></PR></MS></Obj><S S="Error">{text}</S></Objs>'
    ).encode()


def perform(envelope):
    """The body of the answer to an envelope."""
    header = envelope.find(f"{{{SOAP}}}Header")
    text = lambda space, name: header.findtext(f"{{{space}}}{name}")
    assert text(WSMAN, "ResourceURI") == SHELL + "/cmd", "resource"
    assert int(text(WSMAN, "MaxEnvelopeSize")) >= 8192 and text(ADDRESSING, "MessageID").startswith("uuid:")
    seconds = float(re.fullmatch(r"PT([0-9.]+)S", text(WSMAN, "OperationTimeout"))[1])
    options = {o.get("Name"): o.text for o in header.iter(f"{{{WSMAN}}}Option")}
    body = envelope.find(f"{{{SOAP}}}Body")
    action = text(ADDRESSING, "Action").rsplit("/", 1)[1]
    wrong = fault()
    if wrong == f"internal-{action}":
        raise Refused("s:Receiver", "w:InternalError", 2148007941, "Server execution failed")
    if action == "Create":
        if wrong == "quota":
            raise Refused("s:Sender", "w:QuotaLimit", 2150859173, "This user is allowed 5 shells.")
        if wrong == "denied":
            raise Refused("s:Sender", "w:AccessDenied", 5, "Access is denied.")
        assert options == {"WINRS_NOPROFILE": "TRUE", "WINRS_CODEPAGE": "65001"}, options
        streams = body.find(f"{{{SHELL}}}Shell/{{{SHELL}}}OutputStreams")
        assert streams.text == "stdout stderr"
        shell = str(uuid.uuid4()).upper()
        shells[shell] = {}
        note(create=shell)
        answer = (
            f"<x:ResourceCreated><a:Address>https://h:5986/wsman</a:Address><a:ReferenceParameters>"
            f"<w:ResourceURI>{SHELL}/cmd</w:ResourceURI><w:SelectorSet><w:Selector Name=\"ShellId\">{shell}"
            f"</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>"
        )
    else:
        selector = header.find(f"{{{WSMAN}}}SelectorSet/{{{WSMAN}}}Selector[@Name='ShellId']")
        shell = selector.text
        if shell not in shells:
            raise Refused("s:Sender", "w:InvalidSelectors", 2150858843, "The shell was not found.")
        answer = in_shell(action, shell, body, options, seconds)
    if wrong == f"lose-{action}":
        raise Lost
    if wrong == f"garbage-{action}":
        answer = "<unclosed>"
    return answer, action


def in_shell(action, shell, body, options, seconds):
    commands = shells[shell]
    if action == "Delete":
        for running in shells.pop(shell).values():
            running.kill()
        note(delete=shell)
        return ""
    if action == "Command":
        if fault() == "busy":
            raise Refused("s:Sender", "w:QuotaLimit", 2150859174, "This user is allowed 15 operations.")
        assert options["WINRS_SKIP_CMD_SHELL"] == "FALSE"
        line = body.find(f"{{{SHELL}}}CommandLine")
        called = CALLED.fullmatch(line.findtext(f"{{{SHELL}}}Arguments"))
        script = base64.b64decode(called[1]).decode("utf-16-le")
        command = str(uuid.uuid4()).upper()
        note(command=line.findtext(f"{{{SHELL}}}Command"), script=script)
        commands[command] = Running(script)
        return f"<rsp:CommandResponse><rsp:CommandId>{command}</rsp:CommandId></rsp:CommandResponse>"
    if action == "Receive":
        stream = body.find(f"{{{SHELL}}}Receive/{{{SHELL}}}DesiredStream")
        return received(stream.get("CommandId"), commands, seconds)
    assert action == "Signal", action
    signal = body.find(f"{{{SHELL}}}Signal")
    assert signal.findtext(f"{{{SHELL}}}Code") == SHELL + "/signal/terminate"
    commands[signal.get("CommandId")].kill()
    note(signal=shell)
    return "<rsp:SignalResponse/>"


def received(command, commands, seconds):
    fetched = commands[command].fetch(seconds)
    if fetched is None:
        note(nothing=True)
        raise Refused("s:Receiver", "w:TimedOut", 2150858793, "The operation timed out.")
    part, code = fetched
    answer = ""
    for name, text in part.items():
        size = PIECE if len(text) < 300 else 4096
        for at in range(0, len(text), size):
            piece = base64.b64encode(text[at : at + size]).decode()
            answer += f'<rsp:Stream Name="{name}" CommandId="{command}">{piece}</rsp:Stream>'
    state = SHELL + "/CommandState/"
    if code is None:
        answer += f'<rsp:CommandState CommandId="{command}" State="{state}Running"/>'
    else:
        for name in part:
            answer += f'<rsp:Stream Name="{name}" CommandId="{command}" End="true"/>'
        answer += (
            f'<rsp:CommandState CommandId="{command}" State="{state}Done">'
            f"<rsp:ExitCode>{code}</rsp:ExitCode></rsp:CommandState>"
        )
    return f"<rsp:ReceiveResponse>{answer}</rsp:ReceiveResponse>"


class Handler(BaseHTTPRequestHandler):
    """One of these for each connection."""

    protocol_version = "HTTP/1.1"
    known, context = False, None

    def log_message(self, *_):
        pass

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if fault() == "unavailable":
            return self.answer(503, b"")
        if not self.is_let_in():
            return
        if self.path != "/wsman":
            return self.answer(404, b"")
        envelope = ET.fromstring(content)
        try:
            body, action = perform(envelope)
            status = 200
        except Lost:
            self.close_connection = True
            return
        except Refused as refused:
            status, action = 500, "fault"
            body = (
                f"<s:Fault><s:Code><s:Value>{refused.value}</s:Value><s:Subcode><s:Value>{refused.kind}</s:Value>"
                f'</s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">{refused.message} </s:Text></s:Reason>'
                f'<s:Detail><f:WSManFault xmlns:f="{FAULT}" Code="{refused.code}" Machine="h"><f:Message>'
                f"{refused.message} </f:Message></f:WSManFault></s:Detail></s:Fault>"
            )
        text = (
            f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:x="{TRANSFER}" '
            f'xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}"><s:Header><a:Action>{action}</a:Action>'
            f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>"
            f"{envelope.findtext(f'.//{{{ADDRESSING}}}MessageID')}</a:RelatesTo></s:Header>"
            f"<s:Body>{body}</s:Body></s:Envelope>"
        )
        self.answer(status, text.encode(), closes=fault() == "hang-up")

    def answer(self, status, content, *more, closes=False):
        self.send_response(status)
        self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        for value in more:
            self.send_header("WWW-Authenticate", value)
        if closes:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def ask(self, token=b""):
        offers = []
        if HOW != "basic":
            offers.append(("Negotiate " + base64.b64encode(token).decode()).strip())
        if HOW != "ntlm" and not token:
            offers.append('Basic realm="WSMAN"')
        self.answer(401, b"", *offers)

    def is_let_in(self):
        if self.known and HOW != "basic":
            return True
        scheme, _, shown = self.headers.get("Authorization", "").partition(" ")
        shown = base64.b64decode(shown)
        if scheme == "Basic" and HOW != "ntlm":
            user, _, password = shown.decode().partition(":")
            if USERS.get(user) == password:
                return True
        elif scheme == "Negotiate" and HOW != "basic":
            return self.negotiate(shown)
        self.ask()
        return False

    def negotiate(self, token):
        import spnego
        from spnego._ntlm_raw.messages import Authenticate, AvFlags, AvId, NTClientChallengeV2
        from spnego.channel_bindings import GssChannelBindings

        if self.context is None:
            end = b"tls-server-end-point:" + hashlib.sha256(CERTIFICATE).digest()
            bindings = GssChannelBindings(application_data=end)
            self.context = spnego.server(protocol="ntlm", channel_bindings=bindings)
            self.ask(self.context.step(token))
            return False
        try:
            self.context.step(token)
            pairs = NTClientChallengeV2.unpack(Authenticate.unpack(token).nt_challenge_response[16:]).av_pairs
            binding = pairs.get(AvId.channel_bindings, b"")
            note(ntlm=self.context.client_principal, mic=bool(pairs[AvId.flags] & AvFlags.mic), bound=any(binding))
            self.known = self.context.complete
        except spnego.exceptions.SpnegoError as error:
            note(refused=str(error))
            self.context = None
            self.ask()
        return self.known


os.environ["NTLM_USER_FILE"] = os.path.abspath("users")
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain("cert.pem", "key.pem")
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
