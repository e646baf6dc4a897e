"""Installing, updating, rolling back and removing plugins, so that the environment is always whole.

    propose   what pip would change, looked at before anything is changed        `Installer.propose_…`
    apply     files exchanged under a journal, then probed and smoked             `Installer.apply`
    settle    a change that was cut short is undone at the next start             `journal.settle`

pip resolves and unpacks, into a folder of its own; the environment's files are exchanged here, from complete copies of
the old and of the new. So the way back needs neither pip nor a network.
"""
