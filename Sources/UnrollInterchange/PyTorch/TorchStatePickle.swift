// The pickle of a state_dict as `torch.save` writes it.

import UnrollTensors

extension StateDictionary {
  /// The pickle: an `OrderedDict` of tensors with the attribute `_metadata`, an `OrderedDict` of the
  /// versions of all modules.
  var pickle: [UInt8] {
    var writer = PickleWriter()
    write(to: &writer)
    writer.put(.stop)
    return writer.bytes
  }

  /// Writes the dictionary into a pickle.
  func write(to writer: inout PickleWriter) {
    writer.orderedDictionary()
    writer.put(.mark)
    for entry in entries {
      writer.string(entry.name)
      writer.tensor(entry)
    }
    writer.put(.setitems)
    writer.put(.emptyDict)
    writer.memoize()
    writer.string("_metadata")
    writer.orderedDictionary()
    writer.put(.mark)
    for module in modules {
      writer.string(module)
      writer.put(.emptyDict)
      writer.memoize()
      writer.string("version")
      writer.int(1)
      writer.put(.setitem)
    }
    writer.put(.setitems)
    writer.put(.setitem)
    writer.put(.build)
  }
}

extension PickleWriter {
  /// Writes an empty `OrderedDict`.
  fileprivate mutating func orderedDictionary() {
    global("collections", "OrderedDict")
    put(.emptyTuple)
    put(.reduce)
    memoize()
  }

  /// Writes the call `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`.
  mutating func tensor(_ entry: StateDictionary.Entry) {
    let sizes = entry.tensor.shape.dimensions
    global("torch._utils", "_rebuild_tensor_v2")
    put(.mark)
    storage(entry)
    int(0)
    tuple(sizes)
    tuple(sizes.indices.map { sizes[($0 + 1)...].reduce(1, *) })
    put(.newfalse)
    orderedDictionary()
    put(.tuple)
    memoize()
    put(.reduce)
    memoize()
  }

  /// Writes the persistent id `("storage", torch.XStorage, key, "cpu", number of elements)`.
  private mutating func storage(_ entry: StateDictionary.Entry) {
    put(.mark)
    string("storage")
    global("torch", entry.storageClass)
    string("\(entry.storage)")
    string("cpu")
    int(entry.tensor.elementCount)
    put(.tuple)
    memoize()
    put(.binpersid)
  }
}
