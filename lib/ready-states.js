'use strict';

/**
 * The values of `readyState`, by name and in their order.
 */
module.exports = {
  CONNECTING: 0,
  OPEN: 1,
  CLOSING: 2,
  CLOSED: 3
};
