'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { it } = require('node:test');

const WebSocket = require('..');

const { Child } = require('./helpers/child');
const { connect } = require('./helpers/pair');
const { suite, until, within } = require('./helpers/suite');

const SERVER = path.join(__dirname, '..', 'examples', 'chat', 'server.js');
const START_TIMEOUT = 30000;

/**
 * Finds Chromium.
 *
 * @return {(String|null)} Its path, or `null` if there is none
 */
function findChromium() {
  const folders = (process.env.PATH || '').split(path.delimiter);
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const candidates = [
    process.env.OXWS_CHROMIUM,
    ...names.flatMap((name) => folders.map((folder) => path.join(folder, name)))
  ];

  return candidates.find((file) => file && fs.existsSync(file)) || null;
}

const chromium = findChromium();
const skip =
  chromium === null && process.env.OXWS_ALLOW_MISSING_PEERS
    ? 'there is no Chromium'
    : false;

/**
 * A client of the DevTools protocol.
 */
class DevTools {
  /**
   * Wraps an open connection to the browser.
   *
   * @param {WebSocket} ws The connection
   */
  constructor(ws) {
    this._calls = new Map();
    this._id = 0;
    this._ws = ws;

    ws.on('message', (data) => {
      const { id, error, result } = JSON.parse(data);
      const call = this._calls.get(id);

      // What has no id is an event, which nobody waits for.
      if (!call) return;

      this._calls.delete(id);
      if (error) call.reject(new Error(`${call.method}: ${error.message}`));
      else call.resolve(result);
    });
  }

  /**
   * Calls a method.
   *
   * @param {String} method The method
   * @param {Object} [params] Its parameters
   * @param {String} [sessionId] The page to which it belongs
   * @return {Promise<Object>} The result
   */
  call(method, params, sessionId) {
    const id = ++this._id;

    return within(
      new Promise((resolve, reject) => {
        this._calls.set(id, { method, resolve, reject });
        this._ws.send(JSON.stringify({ id, method, params, sessionId }));
      }),
      `the answer to ${method}`,
      START_TIMEOUT
    );
  }

  /**
   * Opens a page.
   *
   * @param {String} url The URL
   * @return {Promise<Function>} Evaluates an expression in the page
   */
  async open(url) {
    const { targetId } = await this.call('Target.createTarget', { url });
    const { sessionId } = await this.call('Target.attachToTarget', {
      flatten: true,
      targetId
    });

    return async (expression) => {
      const { result, exceptionDetails } = await this.call(
        'Runtime.evaluate',
        { awaitPromise: true, expression, returnByValue: true },
        sessionId
      );

      assert.equal(exceptionDetails, undefined);
      return result.value;
    };
  }
}

/**
 * Starts Chromium and connects to it.
 *
 * @param {TestContext} t The context of the test
 * @return {Promise<DevTools>} The connection
 */
async function startChromium(t) {
  assert.notEqual(
    chromium,
    null,
    'there is no Chromium: install it, set OXWS_CHROMIUM to its path, or set ' +
      'OXWS_ALLOW_MISSING_PEERS to do without'
  );

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-chromium-'));
  const file = path.join(folder, 'DevToolsActivePort');
  let child = null;
  let devTools = null;

  // Registered first, so that the browser can end all of its processes before
  // its main process is killed and the connection is closed.
  t.after(async () => {
    if (devTools) await devTools.call('Browser.close');
    else if (child) process.kill(child.pid, 'SIGKILL');

    if (child) await child.ended();
    fs.rmSync(folder, { force: true, maxRetries: 5, recursive: true });
  });

  child = new Child(t, chromium, [
    '--headless',
    '--no-sandbox',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-dev-shm-usage',
    '--disable-gpu',
    '--disable-quic',
    '--disable-sync',
    '--no-first-run',
    '--remote-debugging-port=0',
    `--user-data-dir=${folder}`,
    'about:blank'
  ]);

  const address = await until(
    () => {
      assert.equal(child.exit, null, `Chromium ended: ${child.stderr}`);

      const [port, url] = fs.existsSync(file)
        ? fs.readFileSync(file, 'utf8').split('\n')
        : [];

      return url && `ws://127.0.0.1:${port}${url}`;
    },
    'Chromium says where it listens',
    START_TIMEOUT
  );

  devTools = new DevTools(await connect(t, address));
  return devTools;
}

/**
 * Starts the chat server.
 *
 * @param {TestContext} t The context of the test
 * @return {Promise<String>} The URL of its page
 */
async function startChat(t) {
  const child = new Child(t, process.execPath, [SERVER, '0']);

  await until(
    () => child.lines.length || child.exit,
    'the chat server says where it listens'
  );
  assert.equal(child.exit, null, `the chat server ended: ${child.stderr}`);
  return child.lines[0].match(/http:\/\/\S+/)[0];
}

/**
 * Waits until an expression gives a truthy value in a page.
 *
 * @param {Function} evaluate The function that `DevTools#open()` gave
 * @param {String} expression The expression
 * @return {Promise} The value
 */
async function inPage(evaluate, expression) {
  const deadline = Date.now() + START_TIMEOUT;

  for (;;) {
    const value = await evaluate(expression);

    if (value) return value;
    assert.ok(Date.now() < deadline, `waited in vain for ${expression}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

suite('browser', () => {
  it('carries a message from one page to another', { skip }, async (t) => {
    const [url, devTools] = await Promise.all([startChat(t), startChromium(t)]);
    const pages = await Promise.all([devTools.open(url), devTools.open(url)]);
    const text = (evaluate) =>
      evaluate(
        "[...document.querySelectorAll('#messages li')]" +
          '.map((li) => li.textContent)'
      );

    for (const page of pages) {
      await inPage(page, "document.querySelector('#send')?.disabled === false");
      assert.deepEqual(await text(page), []);
    }

    await pages[0](
      "document.querySelector('#input').value = 'Grüße from page one';" +
        "document.querySelector('#form').requestSubmit()"
    );

    for (const page of pages) {
      await inPage(page, "document.querySelector('#messages li')");
      assert.deepEqual(await text(page), ['Grüße from page one']);
    }

    await pages[1](
      "document.querySelector('#input').value = 'An answer from page two';" +
        "document.querySelector('#form').requestSubmit()"
    );
    await inPage(
      pages[0],
      "document.querySelectorAll('#messages li').length === 2"
    );
    assert.deepEqual(await text(pages[0]), [
      'Grüße from page one',
      'An answer from page two'
    ]);

    // A client of ours in the same room, compression included where both sides
    // want it.
    const ws = await connect(t, `${url.replace('http', 'ws')}chat`);

    assert.ok(ws instanceof WebSocket);
    ws.send('And one from outside');
    await inPage(
      pages[1],
      "document.querySelectorAll('#messages li').length === 3"
    );
    assert.deepEqual((await text(pages[1])).at(-1), 'And one from outside');
  });
});
