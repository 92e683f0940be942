"""Certificates for tests: a CA, what it issues, and files as a web configuration names them."""

import ssl

import trustme


class Authority:
    """A CA and the files of one server."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.issue()

    def issue(self):
        """Write a new certificate and key for the server, the key last."""
        made = self.ca.issue_cert("localhost", "127.0.0.1")
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        (self.folder / "server.pem").write_bytes(chain)
        (self.folder / "server.key").write_bytes(made.private_key_pem.bytes())
        return made

    @staticmethod
    def trusting(folder):
        """Give a client's context that trusts the CA of a folder."""
        return ssl.create_default_context(cafile=str(folder / "ca.pem"))

    def client(self, name=None, ca=None, **versions):
        """Give a client's context that trusts this CA; with a name it shows a certificate of ``ca``."""
        context = self.trusting(self.folder)
        for key, value in versions.items():
            setattr(context, key, value)
        if name is not None:
            (ca or self.ca).issue_cert(name).configure_cert(context)
        return context

    def client_files(self, name):
        """Write a client's certificate and key; give both paths."""
        made = self.ca.issue_cert(name)
        pem, key = self.folder / "client.pem", self.folder / "client.key"
        made.cert_chain_pems[0].write_to_path(str(pem))
        made.private_key_pem.write_to_path(str(key))
        return pem, key
