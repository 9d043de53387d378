#!/bin/sh
# grpcio 1.85.1, cryptography 50.0.2: a TLS server with an Ed25519 key starts, and no caller of its own ever comes through.
#
# Common belief: TLS 1.3 has Ed25519 (RFC 8446, section 4.2.3), openssl makes such keys, Python's own ssl module serves
# by them, and so does gRPC; a key that a server cannot use is refused when the server is made or its port is bound.
#
# Behaviour: ssl_server_credentials takes the key, add_secure_port binds, start() starts, and nothing is said. Each call
# of a gRPC client then ends with UNAVAILABLE and a text of a handshake that failed: it reads as a network that is down,
# or a certificate that is not trusted. Python's ssl on the same files, and gRPC with an ECDSA key, work.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet grpcio==1.85.1 cryptography==50.0.2
cd "$folder"
venv/bin/python - <<'END'
import datetime
import ipaddress
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


def certificate(key, digest):
    """A certificate of one's own for this machine, and the key, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, digest)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def by_grpc(public, private):
    """What a call says."""
    answer = grpc.method_handlers_generic_handler("a", {"b": grpc.unary_unary_rpc_method_handler(lambda r, c: b"")})
    server = grpc.server(ThreadPoolExecutor(2), handlers=[answer])
    port = server.add_secure_port(f"{HOST}:0", grpc.ssl_server_credentials([(private, public)]))
    server.start()
    try:
        with grpc.secure_channel(f"{HOST}:{port}", grpc.ssl_channel_credentials(public)) as channel:
            channel.unary_unary("/a/b")(b"", timeout=10)
        return f"bound {port != 0}, OK"
    except grpc.RpcError as error:
        return f"bound {port != 0}, {error.code().name}"
    finally:
        server.stop(0)


def by_ssl(public, private):
    """What Python's own ssl module says."""
    with open("node.pem", "wb") as file:
        file.write(public + private)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain("node.pem")
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(10)

        def serve():
            connection, _ = listener.accept()
            with own.wrap_socket(connection, server_side=True) as secure:
                secure.sendall(b"hello")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        trusted = ssl.create_default_context(cadata=public.decode())
        with socket.create_connection(listener.getsockname(), 10) as plain:
            with trusted.wrap_socket(plain, server_hostname=HOST) as secure:
                said = secure.recv(5)
        thread.join(10)
    return said.decode()


edwards = certificate(ed25519.Ed25519PrivateKey.generate(), None)
ecdsa = certificate(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
found = {"ssl, Ed25519": by_ssl(*edwards), "gRPC, ECDSA": by_grpc(*ecdsa), "gRPC, Ed25519": by_grpc(*edwards)}
for what, said in found.items():
    print(f"{what}: {said}")
assert found["ssl, Ed25519"] == "hello", "Python's ssl does not take it either"
assert found["gRPC, ECDSA"] == "bound True, OK", "another key does not work either"
assert found["gRPC, Ed25519"] == "bound True, UNAVAILABLE", "gRPC says something else by now"
END
echo "as stated: by grpcio 1.85.1 a server with an Ed25519 key starts, and its callers find it UNAVAILABLE"
