"""The connector contract over a library and over a list of SharePoint."""

from __future__ import annotations

import pytest
from sharepoint_fake import LIST_ID
from sharepoint_kit import child_spec, fill_library, fill_list, library_spec, list_spec, open_site, rest_options

from connectors.suite import ConnectorContract
from ropa.connector import Connector, FieldChange, Mask


class TestLibrary(ConnectorContract):
    fields = (FieldChange("Nota"),)
    note_column = "Nota"

    def build(self, rows, children=(), *, batch_size=2):
        self.fake = fill_library(rows)
        return open_site(self.fake, library_spec(), batch_size=batch_size)

    def change(self, connector, row_id):
        self.fake.files[row_id].touch()

    def break_listing(self, connector):
        self.fake.oddity, self.fake.page = "no-values", 2
        return True

    def test_it_is_a_connector(self):
        assert isinstance(self.build([]), Connector)


@pytest.mark.sampled(one_in=3)
class TestLibraryOfAServerWithoutDelta(TestLibrary):
    def build(self, rows, children=(), *, batch_size=2):
        connector = super().build(rows, children, batch_size=batch_size)
        self.fake.has_delta = False
        return connector


class TestFolderOfALibrary(TestLibrary):
    def build(self, rows, children=(), *, batch_size=2):
        from sharepoint_fake import Item

        self.fake = fill_library(rows, folder="f2")
        self.fake.files["f2"] = Item("f2", name="2020", folder="f1", is_folder=True)
        self.fake.files["f1"] = Item("f1", name="CVs", is_folder=True)
        self.fake.files["other"] = Item("other", name="other.pdf")
        self.fake.expands = False
        return open_site(self.fake, library_spec("library:Documenten/CVs"), batch_size=batch_size)


class TestList(ConnectorContract):
    has_children = True
    fields = (FieldChange("Title", Mask.REDACT),)
    note_column = "Title"

    def build(self, rows, children=(), *, batch_size=2):
        self.fake = fill_list(rows, children)
        options = rest_options()
        return open_site(
            self.fake, list_spec(), child_spec(), batch_size=batch_size, client_secret=None,
            certificate=options["certificate"], sharepoint_rest=True,
        )  # fmt: skip

    def change(self, connector, row_id):
        one = next(one for one in self.fake.lists.values() if row_id in one.items)
        one.items[row_id].touch()

    def break_listing(self, connector):
        self.fake.oddity, self.fake.page = "circle", 2
        return True

    def test_it_is_a_connector(self):
        assert isinstance(self.build([]), Connector)
        assert LIST_ID in self.fake.lists
