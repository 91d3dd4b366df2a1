"""`sluice up`: everything on this machine, in one process and one folder."""

from shared.runtime import process
from shared.runtime.addresses import refuse_taken
from shared.runtime.settings import CommonSettings
from sluice.configuration import models, read
from sluice.data_folder import DataFolder
from sluice.embedded import serve


def up() -> int:
    """Run until Ctrl-C; the exit code.

    Raises:
        Misconfigured: a setting is wrong.
        AddressTaken: another process listens there.
        DataInUse: another `sluice up` has the folder.
    """
    settings = read(CommonSettings)
    for model in models().values():  # their own settings too, before anything is made or started
        read(model)
    folder = DataFolder(settings.data)
    with folder.taken():
        refuse_taken(settings)
        if settings.secret_key is None:
            settings = read(CommonSettings, secret_key=str(folder.make_secret_key()))
        return process.run(lambda: serve(settings, folder))
