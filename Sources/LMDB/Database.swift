import CLMDB

/// One key-value map of an environment. Valid for all its transactions, from opening to the environment's end.
@usableFromInline package struct Database: Sendable, Hashable {
    @usableFromInline let handle: MDB_dbi

    /// `openDatabases` gives the named ones; 0 is the list of free pages, which readers may walk.
    @usableFromInline
    package init(handle: MDB_dbi) { self.handle = handle }

    /// LMDB's limit: longer keys would leave no room for two of them on a page.
    package static let maximumKeyBytes = 511
}
