"""Verifies and makes signatures of CACAO playbooks without any code of ours.

    oracle.py verify            documents, one a line on stdin; a line `ok` or `wrong: …` each
    oracle.py sign KEY ALG PUB  the playbook on stdin; the signed playbook on stdout

It follows the description of the format with `rfc8785` and `cryptography` from PyPI.
"""

import base64
import hashlib
import json
import sys

import rfc8785
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509 import load_der_x509_certificate

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def message(playbook, layers):
    inner = None
    for layer in reversed(layers):
        layer = {k: v for k, v in layer.items() if k != "signature"}
        if inner is None:
            layer.pop("value", None)
        else:
            layer["signature"] = inner
        inner = layer
    canonical = rfc8785.dumps({**playbook, "signatures": [inner]})
    name = layers[-1]["hash_algorithm"].replace("-", "")
    return hashlib.new(name, canonical).hexdigest().encode()


def rsa_padding(algorithm, digest):
    if algorithm.startswith("RS"):
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


def check(playbook, layers):
    signature = layers[-1]
    if "public_key" in signature:
        key = serialization.load_der_public_key(base64.b64decode(signature["public_key"]))
    else:
        leaf = base64.b64decode(signature["public_cert_chain"][0])
        key = load_der_x509_certificate(leaf).public_key()
    text, algorithm = signature["value"], signature["algorithm"]
    value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    signed = message(playbook, layers)
    if algorithm == "Ed25519":
        return key.verify(value, signed)
    digest = HASHES[algorithm[2:]]()
    if isinstance(key, rsa.RSAPublicKey):
        return key.verify(value, signed, rsa_padding(algorithm, digest), digest)
    half = len(value) // 2
    r, s = int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big")
    key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(digest))


def verify(text):
    playbook = json.loads(text)
    for signature in playbook.pop("signatures"):
        layers = []
        while signature is not None:
            layers.append(signature)
            check(playbook, layers)
            signature = signature.get("signature")


def sign(key, algorithm, playbook, signature):
    signed = message(playbook, [signature])
    if algorithm == "Ed25519":
        return key.sign(signed)
    digest = HASHES[algorithm[2:]]()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, rsa_padding(algorithm, digest), digest)
    r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(digest)))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def main():
    if sys.argv[1] == "verify":
        for line in sys.stdin:
            try:
                verify(line)
                print("ok", flush=True)
            except Exception as error:
                print(f"wrong: {error!r}", flush=True)
        return
    with open(sys.argv[2], "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    playbook, signature = json.load(sys.stdin)
    signature = {**signature, "algorithm": sys.argv[3], "public_key": base64.b64encode(spki).decode()}
    signature["value"] = unpadded(sign(key, sys.argv[3], playbook, signature))
    print(json.dumps({**playbook, "signatures": [signature]}, ensure_ascii=False, indent=2))


main()
