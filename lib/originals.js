'use strict';

/**
 * Methods as their classes define them. They are passed by while nobody has
 * replaced them; and that a program, such as a monitoring agent, may do as soon
 * as the file of a class has been loaded. So these files put them here.
 *
 * @type {{Receiver: Object, Sender: Object, WebSocket: Object}}
 */
module.exports = { Receiver: null, Sender: null, WebSocket: null };
