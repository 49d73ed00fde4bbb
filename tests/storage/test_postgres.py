"""PostgresStorage keeps the promises of a store, and what a server adds to them."""

import pytest

from ordermgmt.storage import PostgresStorage
from ordermgmt.testing.conformance.storage import StorageContract


class TestPostgresStorage(StorageContract):
    @pytest.fixture
    def storage(self, postgres, postgres_storage):
        self.postgres, self.schema = postgres, postgres_storage.schema
        return postgres_storage

    def reopen(self, storage):
        storage.close()
        return PostgresStorage(self.postgres.uri, schema=self.schema)
