"""For those who test what they build on cashwrap: the contracts that every adapter must keep.

Subclass a contract in a pytest module and give it the fixture it asks for; pytest then runs each promise::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self):
            return MyStore()
"""

from cashwrap.testing.contracts import FullStore, StoreContract, VaultContract

__all__ = ["FullStore", "StoreContract", "VaultContract"]
