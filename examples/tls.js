'use strict';

// A server and a client over TLS, with a certificate made on the spot.
//
//   node examples/tls.js
//
// The program openssl has to be installed.

const { execFileSync } = require('child_process');
const fs = require('fs');
const https = require('https');
const os = require('os');
const path = require('path');

const WebSocket = require('..');

/**
 * Makes a certificate for `localhost` that is its own authority.
 *
 * @return {Object} The certificate and its private key, in PEM
 */
function makeCertificate() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-tls-'));
  const cert = path.join(folder, 'cert.pem');
  const key = path.join(folder, 'key.pem');

  try {
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-nodes', '-days', '1'],
        ...['-pkeyopt', 'ec_paramgen_curve:prime256v1'],
        ...[
          '-subj',
          '/CN=localhost',
          '-addext',
          'subjectAltName=DNS:localhost'
        ],
        ...['-out', cert, '-keyout', key]
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] }
    );

    return { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

const { cert, key } = makeCertificate();
const server = https.createServer({ cert, key });
const wss = new WebSocket.Server({ server });

wss.on('connection', (ws) => {
  ws.on('message', (data) => {
    console.log(`The server received: ${data}`);
    ws.send(`You said: ${data}`);
  });
});

server.listen(0, 'localhost', () => {
  const ws = new WebSocket(`wss://localhost:${server.address().port}`, {
    ca: cert
  });

  ws.on('open', () => {
    console.log(`Connected with ${ws._socket.getProtocol()}`);
    ws.send('Hello over TLS');
  });

  ws.on('message', (data) => {
    console.log(`The client received: ${data}`);
    ws.close();
  });

  ws.on('close', () => server.close());
});
