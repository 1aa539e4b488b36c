MemoryRecords: object
