"""For those who test what they build on cashwrap: the contracts that every adapter must keep.

Subclass a contract in a pytest module and give it the fixture it asks for; pytest then runs each promise::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self):
            return MyStore()

``cashwrap.testing.shoppers`` simulates shoppers whose reactions are known, for tests of decisions and experiments.
"""

from cashwrap.testing.audit import AuditContract
from cashwrap.testing.contracts import FullStore, StoreContract, VaultContract
from cashwrap.testing.ledger import LedgerContract
from cashwrap.testing.ledger_model import ModelLedger
from cashwrap.testing.models import ModelFilesContract
from cashwrap.testing.snapshots import SnapshotContract

__all__ = [
    "AuditContract",
    "FullStore",
    "LedgerContract",
    "ModelFilesContract",
    "ModelLedger",
    "SnapshotContract",
    "StoreContract",
    "VaultContract",
]
