"""A disk on which the files of a running bridge cannot grow any more, and on which they can again."""

import resource

from process import children


class FileSizeLimit:
    """No file may grow beyond a limit; SQLite gets EFBIG. The log shares the limit and stays far below it."""

    needs_mount = False

    def __init__(self, folder):
        self.folder = folder

    def command(self, command):
        return command

    def fill(self, pid):
        largest = max(file.stat().st_size for file in self.folder.iterdir())
        self._limit(pid, largest + 40_000)

    def relieve(self, pid):
        self._limit(pid, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(pid, size):
        for one in (pid, *children(pid)):
            resource.prlimit(one, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
