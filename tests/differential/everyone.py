"""everyone.py — the four servers together, on one document root, from start to stop."""
import os

import answers
import corpus
import servers


class Everyone:
    """As a context: all four serve the corpus's files. Leaving it, each is stopped and looked over."""

    def __init__(self):
        self.perdure = servers.make_perdure()
        self.peers = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def start(self):
        root = self.perdure.root
        corpus.fill(root)
        (root / "probe.txt").write_bytes(answers.PROBE_TEXT)
        for path in root.rglob("*"):
            os.utime(path, (corpus.PAGE_TIME, corpus.PAGE_TIME), follow_symlinks=False)
        self.words = answers.Words(root)
        self.peers = servers.make_peers(root)
        self.perdure.start()
        for peer in self.peers:
            peer.start()
        self.addresses = {"perdure": (self.perdure.host, self.perdure.port),
                          **{peer.name: (peer.host, peer.port) for peer in self.peers}}

    def ask(self, names=None, **patience):
        return answers.ask(self.addresses, self.words, names, **patience)

    def close(self):
        for server in [*self.peers, self.perdure]:
            server.close()

    def __exit__(self, *_):
        self.close()
