'use strict';

const { describe } = require('../recorder');

const EXTENSIONS = [
  '',
  ' ',
  ',',
  ';',
  '=',
  'a',
  ' a',
  '\ta',
  'a ',
  'a\t',
  'a,',
  'a;',
  'a,b',
  'a , b',
  'a  b',
  'a,,b',
  'a;;b',
  'a;b',
  'a; b',
  'a;b;c',
  'a;b,c;d',
  'a;b=',
  'a;b=c',
  'a; b=c; d',
  'a; b = c',
  'a; b =c',
  'a; b= c',
  'a;b=c d',
  'a;=c',
  'a=b',
  'a;b=c=d',
  'a;b="c"',
  'a;b="c" ',
  'a;b="c";d',
  'a;b="c",d',
  'a;b="c"d',
  'a;b= "c"',
  'a;b="',
  'a;b=""',
  'a;b="c',
  'a;b="c\\',
  'a;b="\\c"',
  'a;b="c\\d"',
  'a;b="c\\\\d"',
  'a;b="c d"',
  'a;b="c,d"',
  'a;b="c\\ d"',
  'a;b=\\c',
  'a;b=c;b=d',
  'a;b;b',
  'a,a',
  'a;b,a;c=1',
  '__proto__',
  '__proto__;__proto__=__proto__',
  'constructor;hasOwnProperty',
  'permessage-deflate',
  'permessage-deflate; client_max_window_bits',
  'permessage-deflate; client_max_window_bits=10, permessage-deflate',
  'permessage-deflate; server_max_window_bits="10"',
  'PERMESSAGE-DEFLATE',
  "!#$%&'*+-.^_`|~;0=9",
  'a\u0000',
  'a;b=\u007f',
  '\u00e9',
  'a;\u00ff',
  'a;b="\u0100"',
  'a\r\n;b',
  'a;b=c\u2028',
  'x'.repeat(300),
  `a;${'b;'.repeat(50)}c`,
  'a;b="c"\t;\td',
  'a;b="c""d"',
  'a;b=c"d"',
  'a\t;\tb\t,\tc',
  'a(b)',
  'a@b',
  'a/b',
  'a:b',
  'a;b={c}'
];

const FORMATS = [
  {},
  { a: {} },
  { a: [] },
  { a: [{}] },
  { a: { b: true } },
  { a: { b: [true] } },
  { a: { b: 'c' } },
  { a: { b: ['c', 'd'] } },
  { a: { b: [true, 'd'] } },
  { a: [{ b: 1 }, { c: 'x' }] },
  { a: {}, b: {} },
  { a: [{ b: true, c: 8 }], d: [{}, {}] },
  { a: { b: false } },
  { a: { b: null } },
  { a: { b: [] } },
  { a: 'text' },
  { a: 5 }
];

const PROTOCOLS = [
  '',
  ' ',
  ',',
  'a',
  ' a',
  '\ta',
  'a ',
  'a,b',
  'a, b',
  'a ,b',
  'a\t,\tb',
  'a,,b',
  ',a',
  'a,',
  'a, ',
  'a b',
  'a  ,  b  ,  c',
  'a,a',
  'a,A',
  'a,b,a',
  'a,b, a',
  '"a"',
  'a;b',
  'a=b',
  'a/b',
  "!#$%&'*+-.^_`|~09azAZ",
  '\u00e9',
  'a\u0000b',
  '__proto__,constructor',
  'x'.repeat(200),
  Array.from({ length: 30 }, (_, i) => `p${i}`).join(', ')
];

/**
 * Calls a parser with each input and logs the results.
 *
 * @param {Function} log The log
 * @param {Function} parse The parser
 * @param {Array} inputs The inputs
 */
function parseAll(log, parse, inputs) {
  for (const input of inputs) {
    try {
      const result = parse(input);
      log(describe(input), result);
    } catch (err) {
      log(describe(input), err);
    }
  }
}

/**
 * Makes all texts of some length over an alphabet.
 *
 * @param {String[]} alphabet The alphabet
 * @param {Number} length The length
 * @return {String[]} The texts
 */
function words(alphabet, length) {
  let list = [''];
  for (let i = 0; i < length; i++) {
    list = list.flatMap((word) => alphabet.map((letter) => word + letter));
  }
  return list;
}

module.exports = [
  {
    title: 'extension.parse() of hand-written headers',
    async run(WebSocket, log) {
      parseAll(log, WebSocket.extension.parse, EXTENSIONS);
    }
  },
  ...[1, 2, 3, 4].map((length) => ({
    title: `extension.parse() of all texts of length ${length}`,
    async run(WebSocket, log) {
      const alphabet = ['a', ' ', ';', ',', '=', '"', '\\', '\u0001'];
      parseAll(log, WebSocket.extension.parse, words(alphabet, length));
    }
  })),
  {
    title: 'extension.parse() of all texts of length 4 after "a;b="',
    async run(WebSocket, log) {
      const alphabet = ['a', ' ', ';', ',', '"', '\\'];
      parseAll(
        log,
        WebSocket.extension.parse,
        words(alphabet, 4).map((word) => `a;b=${word}`)
      );
    }
  },
  {
    title: 'extension.parse() with every single character',
    async run(WebSocket, log) {
      const inputs = [];
      for (let code = 0; code < 260; code++) {
        const character = String.fromCharCode(code);
        inputs.push(character, `a${character}b`, `a;b="x${character}"`);
      }
      parseAll(log, WebSocket.extension.parse, inputs);
    }
  },
  {
    title: 'extension.parse() of what is not a string',
    async run(WebSocket, log) {
      parseAll(log, WebSocket.extension.parse, [
        [],
        {},
        { length: 0 },
        17,
        true
      ]);
      for (const value of [null, undefined]) {
        try {
          log(String(value), WebSocket.extension.parse(value));
        } catch (err) {
          log(String(value), err.constructor.name);
        }
      }
    }
  },
  {
    title: 'the objects that extension.parse() returns have no prototype',
    async run(WebSocket, log) {
      const offers = WebSocket.extension.parse('a;b=c, __proto__;d');
      log('offers', Object.getPrototypeOf(offers), Object.keys(offers));
      log('params', Object.getPrototypeOf(offers.a[0]));
      log('unknown', offers.toString, 'constructor' in offers);
      log('own', Object.getOwnPropertyDescriptor(offers, '__proto__') !== null);
    }
  },
  {
    title: 'extension.format()',
    async run(WebSocket, log) {
      parseAll(log, WebSocket.extension.format, FORMATS);
    }
  },
  {
    title: 'extension.format() of what extension.parse() returned',
    async run(WebSocket, log) {
      const { format, parse } = WebSocket.extension;
      for (const input of EXTENSIONS) {
        let offers;
        try {
          offers = parse(input);
        } catch {
          continue;
        }
        log(describe(input), format(offers));
      }
    }
  },
  {
    title: 'subprotocol.parse() of hand-written headers',
    async run(WebSocket, log) {
      parseAll(log, WebSocket.subprotocol.parse, PROTOCOLS);
    }
  },
  ...[1, 2, 3, 4, 5].map((length) => ({
    title: `subprotocol.parse() of all texts of length ${length}`,
    async run(WebSocket, log) {
      const alphabet = ['a', 'b', ' ', ',', '\u0001'];
      parseAll(log, WebSocket.subprotocol.parse, words(alphabet, length));
    }
  })),
  {
    title: 'subprotocol.parse() with every single character',
    async run(WebSocket, log) {
      const inputs = [];
      for (let code = 0; code < 260; code++) {
        const character = String.fromCharCode(code);
        inputs.push(character, `a${character}b`);
      }
      parseAll(log, WebSocket.subprotocol.parse, inputs);
    }
  },
  {
    title: 'isValidStatusCode() of every code',
    async run(WebSocket, log, t) {
      const { isValidStatusCode } = t.lib('validation');
      const ranges = [];
      for (let code = 0; code <= 5001; code++) {
        if (isValidStatusCode(code) !== isValidStatusCode(code - 1)) {
          ranges.push([code, isValidStatusCode(code)]);
        }
      }
      log('changes', ranges);
      log('odd', isValidStatusCode(1000.5), isValidStatusCode('1000'));
    }
  },
  {
    title: 'isValidUTF8() of generated sequences',
    async run(WebSocket, log, t) {
      const { isValidUTF8 } = t.lib('validation');
      const interesting = [
        0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
        0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff
      ];
      let bits = '';
      for (const a of interesting) {
        for (const b of interesting) {
          for (const c of interesting) {
            bits += isValidUTF8(Buffer.from([a, b, c])) ? 1 : 0;
            bits += isValidUTF8(Buffer.from([a, b, 0x80, c])) ? 1 : 0;
            bits += isValidUTF8(Buffer.from([0xf0, a, b, c])) ? 1 : 0;
          }
        }
      }
      log('valid', (bits.match(/1/g) || []).length, Buffer.from(bits));
      log('empty', isValidUTF8(Buffer.alloc(0)));
      for (let length = 1; length < 70; length += 7) {
        const bytes = Buffer.alloc(length, 'x');
        bytes[length - 1] = 0xc3;
        log(`length ${length}`, isValidUTF8(bytes));
      }
    }
  },
  {
    title: 'isBlob() and tokenChars',
    async run(WebSocket, log, t) {
      const { isBlob, tokenChars } = t.lib('validation');
      log('blob', isBlob(new Blob(['a'])), isBlob({}), isBlob('a'));
      log('tokens', tokenChars.length, tokenChars.join(''));
    }
  }
];
