'use strict';

//
// The internal properties that may differ between the two packages, and why.
// Everything else has to be the same: own properties, their order, their flags
// and their values.
//
const ALLOWED = [
  {
    kind: 'Receiver.prototype',
    reason: "the steps of ws's parser; here the addon decodes",
    keys: [
      'consume',
      'controlMessage',
      'createError',
      'dataMessage',
      'decompress',
      'getData',
      'getInfo',
      'getMask',
      'getPayloadLength16',
      'getPayloadLength64',
      'haveLength',
      'startLoop'
    ]
  },
  {
    kind: 'Receiver.prototype',
    reason: 'how chunks and decoded events are taken in and emitted',
    keys: [
      '_addInflated',
      '_canGoOn',
      '_toError',
      '_decideInflating',
      '_decompress',
      '_defer',
      '_emit',
      '_emitAlone',
      '_goOnLater',
      '_hold',
      '_isClosed',
      '_isDue',
      '_isTooLong',
      '_keep',
      '_limits',
      '_process',
      '_run',
      '_work',
      '_workAlone',
      '_workInLoop',
      'canTake',
      'isDecoding',
      'isHolding',
      'receive',
      'take'
    ]
  },
  {
    kind: 'Receiver.prototype',
    reason: 'own with ws, asked from the decoder here',
    keys: ['_totalPayloadLength']
  },
  {
    kind: 'Receiver.prototype',
    reason: 'own with ws, and told to the decoder here',
    keys: [
      '_maxBufferedChunks',
      '_maxFragments',
      '_maxPayload',
      '_skipUTF8Validation'
    ]
  },
  {
    kind: 'Receiver#',
    reason: 'own with ws, and told to the decoder here',
    keys: [
      'Symbol(_maxBufferedChunks)',
      'Symbol(_maxFragments)',
      'Symbol(_maxPayload)',
      'Symbol(_skipUTF8Validation)',
      '_maxBufferedChunks',
      '_maxFragments',
      '_maxPayload',
      '_skipUTF8Validation'
    ]
  },
  {
    kind: 'Receiver#',
    reason: "the state of ws's parser; here the addon has it",
    keys: [
      '_buffers',
      '_bufferedBytes',
      '_compressed',
      '_fin',
      '_fragmented',
      '_fragments',
      '_loop',
      '_mask',
      '_masked',
      '_messageLength',
      '_numFragments',
      '_opcode',
      '_payloadLength',
      '_totalPayloadLength'
    ]
  },
  {
    kind: 'Receiver#',
    reason: 'the decoder, and what is being worked off',
    keys: [
      '_callback',
      '_connection',
      '_decoder',
      '_held',
      '_inflated',
      '_isEmitting'
    ]
  },
  {
    kind: 'WebSocket#',
    reason: 'own with ws, made when they are looked at here',
    keys: ['_autoPongComplete', '_receiver', '_sender', '_socket']
  },
  {
    kind: 'WebSocket.prototype',
    reason: 'own with ws, made when they are looked at here',
    keys: ['_autoPongComplete', '_receiver', '_sender', '_socket']
  },
  {
    kind: 'WebSocket#',
    reason: 'what there is of these',
    keys: [
      'Symbol(kAutoPongComplete)',
      'Symbol(kConnection)',
      'Symbol(kOptions)',
      'Symbol(kReceiver)',
      'Symbol(kSender)',
      'Symbol(kSocket)'
    ]
  },
  {
    kind: 'Sender#',
    reason: 'the connection of the native driver',
    keys: ['_connection']
  }
];

/**
 * Tells whether a property is left out of the comparison.
 *
 * @param {String} kind What the object is
 * @param {(String|Symbol)} key The property
 * @return {Boolean} `true` if it is left out
 */
function hidden(kind, key) {
  return ALLOWED.some((item) => {
    return item.kind === kind && item.keys.includes(String(key));
  });
}

module.exports = { hidden };
