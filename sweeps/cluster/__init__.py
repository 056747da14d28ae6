"""A sweep on a Ray cluster that somebody else keeps running: submitted as a Ray job, watched through the ledger.

    client                       head                          workers
    sweeps launch --address  →   probe (a job): can every node run this, and reach what it needs?
                             →   driver (a job): `sweeps resume NAME`, from the ledger and MLflow alone

The sweep is in the ledger, and its data at hand everywhere, before the driver is submitted. So a driver that dies, or
is started again elsewhere, needs the name only.
"""
